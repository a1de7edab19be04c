package dashboard_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/dashboard"
	"github.com/carrot-router/carrot/internal/keys"
	"github.com/carrot-router/carrot/internal/ledger"
)

// oneModel is a predictor and an embedder that know one model.
type oneModel struct{}

func (oneModel) ID() string { return "nothing" }

func (oneModel) Embed(_ context.Context, texts []string, dst []carrot.Representation) error {
	clear(dst)
	return nil
}

func (oneModel) Models() []string { return []string{"m"} }

func (oneModel) Predict(_ []carrot.Representation, dst []carrot.Prediction) error {
	for i := range dst {
		dst[i].Forecasts = append(dst[i].Forecasts[:0], carrot.Forecast{Quality: .5})
	}
	return nil
}

// operated is a gateway with a dashboard at the address for operators, as carrot serve wires
// them.
type operated struct {
	*httptest.Server
	t       *testing.T
	store   *keys.Store
	gateway *gateway.Gateway
	source  gateway.Source
	serving atomic.Pointer[gateway.File]
	ahead   atomic.Int64 // of the clock
	changes atomic.Int64
	log     lines
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const (
	adminKey  = "operator-0123456789abcdef"
	protected = "admin_key: " + adminKey + "\n"
)

// parsed returns a configuration with a client, and more.
func parsed(t *testing.T, more string) *gateway.File {
	t.Helper()
	f, err := gateway.ParseFile([]byte(`
providers: [{name: p, kind: openai, base_url: "http://127.0.0.1:1/v1"}]
models: [{name: m, provider: p, price: {input: 1, output: 1}}]
clients: [{name: listed, key: listed-0123456789abcdef}]
store: carrot.db
`+more), nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// operate serves the dashboard of a gateway. dsn is that of its store, if any.
func operate(t *testing.T, dsn, more string) *operated {
	t.Helper()
	o := &operated{t: t}
	o.serving.Store(parsed(t, more))
	point := carrot.Point{USDPerQuality: 1, CostUSD: .001, Quality: .5}
	router, err := carrot.NewRouter(carrot.Config{Frontier: carrot.Frontier{Points: []carrot.Point{point}, BestSingle: point}, Candidates: []carrot.Candidate{{Name: "m"}}, Embedder: oneModel{}, Predictor: oneModel{}, CountTokens: func(s string) int { return len(s) }})
	if err != nil {
		t.Fatal(err)
	}
	o.source = gateway.Source{Router: router}
	log := slog.New(slog.NewTextHandler(&o.log, nil))
	if o.gateway, err = gateway.New(&o.serving.Load().Config, o.source, gateway.Options{Log: log}); err != nil {
		t.Fatal(err)
	}
	settings := dashboard.Options{Version: "v1", Config: o.serving.Load, Log: log, Now: func() time.Time { return time.Now().Add(time.Duration(o.ahead.Load())) },
		State:  func() (dashboard.State, error) { return dashboard.State{StoreUp: true}, nil },
		Router: func() dashboard.Router { return dashboard.Router{} },
		Prices: func() map[string]dashboard.Price { return nil },
		Try:    func(context.Context, string) ([]dashboard.Trial, error) { return nil, nil }}
	if dsn != "" {
		if o.store, err = keys.Make(t.Context(), dsn); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { o.store.Close() })
		settings.Keys = &keys.Admin{Store: o.store, Config: o.serving.Load, Changed: func(context.Context) { o.changes.Add(1) }}
		if settings.Store, err = ledger.OpenStore(t.Context(), dsn); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { settings.Store.Close() })
	}
	d, err := dashboard.New(settings)
	if err != nil {
		t.Fatal(err)
	}
	o.Server = httptest.NewServer(d.Guard(o.gateway.Admin(gateway.AdminOptions{Handlers: d.Handlers(), Reload: func() error { return nil }})))
	t.Cleanup(o.Close)
	return o
}

// reload serves another configuration.
func (o *operated) reload(more string) {
	o.t.Helper()
	f := parsed(o.t, more)
	if _, err := o.gateway.Reload(&f.Config, o.source); err != nil {
		o.t.Fatal(err)
	}
	o.serving.Store(f)
}

// pass lets time pass.
func (o *operated) pass(d time.Duration) { o.ahead.Add(int64(d)) }

// browser is a browser that follows no redirect.
type browser struct {
	*operated
	client *http.Client
	csrf   string // of the latest page with a form
}

func (o *operated) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return &browser{operated: o, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// page is an answer.
type page struct {
	*http.Response
	text string
}

var (
	csrfField = regexp.MustCompile(`name="csrf" value="(\w+)"`)
	newKey    = regexp.MustCompile(`sk-carrot-[A-Z2-7]{26}`)
)

// send sends a request with headers.
func (b *browser) send(method, address, body string, header ...string) page {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.URL + address
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.URL)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if m := csrfField.FindSubmatch(text); m != nil {
		b.csrf = string(m[1])
	}
	return page{answer, string(text)}
}

// get returns a page, whose status must be as wanted.
func (b *browser) get(address string, status int) page {
	b.t.Helper()
	p := b.send(http.MethodGet, address, "")
	if p.StatusCode != status {
		b.t.Fatalf("GET %s: status %d, want %d: %s", address, p.StatusCode, status, p.text)
	}
	return p
}

// post sends a form with the token of the latest page.
func (b *browser) post(address string, status int, fields ...string) page {
	b.t.Helper()
	form := url.Values{"csrf": {b.csrf}}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	p := b.send(http.MethodPost, address, form.Encode())
	if p.StatusCode != status {
		b.t.Fatalf("POST %s %v: status %d, want %d: %s", address, fields, p.StatusCode, status, p.text)
	}
	return p
}

// login logs in with a key.
func (b *browser) login(key, to string, status int) page {
	b.t.Helper()
	return b.post("/ui/login", status, "key", key, "to", to)
}
