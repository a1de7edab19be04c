package budget

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/internal/database/databasetest"
	"github.com/carrot-router/carrot/record"
)

// TestWebhook: the webhook is told once when 80% of a budget are spent and when all of it
// is, whichever process comes to it, with a signature that its key confirms, and again if it
// fails.
func TestWebhook(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		key := []byte("0123456789abcdef0123456789abcdef")
		var mu sync.Mutex
		var types []string
		failed := map[string]bool{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			id, at := r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp")
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(id + "." + at + "." + string(body)))
			if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("Webhook-Signature") != want {
				t.Errorf("signature %q, want %q", r.Header.Get("Webhook-Signature"), want)
			}
			var n struct {
				Type string
				Data struct {
					Name   string
					Spent  float64 `json:"spent_usd"`
					Amount float64 `json:"amount_usd"`
					Ends   time.Time
				}
			}
			if err := json.Unmarshal(body, &n); err != nil || n.Data.Name != "all" || n.Data.Amount != 1 || n.Data.Spent < 0.8 || n.Data.Ends.Before(time.Now()) {
				t.Errorf("%s: %v", body, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !failed[id] {
				failed[id] = true
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			types = append(types, n.Type)
		}))
		defer server.Close()
		hook := Webhook{URL: server.URL, Secret: "whsec_" + base64.StdEncoding.EncodeToString(key)}
		processes := []*process{startTelling(t, hook, dsn, t.TempDir(), gateway.BudgetConfig{Name: "all", USD: 1, Per: "month"})}
		if database.IsPostgres(dsn) {
			processes = append(processes, startTelling(t, hook, dsn, t.TempDir(), gateway.BudgetConfig{Name: "all", USD: 1, Per: "month"}))
		}
		for n := range 10 {
			p := processes[n%len(processes)]
			a := p.admit(t, nil)
			at, _, err := p.call(t.Context(), a, carrot.Dollars(0.001), carrot.Dollars(0.1))
			if err != nil {
				t.Fatal(err)
			}
			p.done(t, a, at, carrot.Dollars(0.1))
			p.settled(t)
		}
		for range 100 {
			time.Sleep(50 * time.Millisecond)
			for _, p := range processes {
				p.clock.pass(5 * time.Second) // after which a failed message is sent again
			}
			mu.Lock()
			n := len(types)
			mu.Unlock()
			if n == 2 {
				break
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(types) != 2 || types[0] == types[1] {
			t.Errorf("messages %q, want a warning and one that all is spent", types)
		}
	})
}

// TestWebhookAddress: an address may be a secret, and errors do not show it.
func TestWebhookAddress(t *testing.T) {
	h := Webhook{URL: "http://127.0.0.1:1/services/secret", Secret: "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 24))}
	if err := h.post(t.Context(), "msg_1", "{}", time.Now()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v, want an error without the address", err)
	}
}

// TestRefusalTold: the webhook is told that a budget is exceeded when calls are refused, also
// if a little is left that is too small for any.
func TestRefusalTold(t *testing.T) {
	told := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- string(body)
	}))
	defer server.Close()
	hook := Webhook{URL: server.URL, Secret: "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 24))}
	p := startTelling(t, hook, databasetest.SQLite(t), t.TempDir(), gateway.BudgetConfig{Name: "all", USD: 0.001, Per: "month"})
	for range 5 {
		_, err := p.admit(t, nil).Reserve(t.Context(), &record.Attempt{Time: p.clock.now(), Candidate: "m"}, carrot.Dollars(1), carrot.Dollars(2))
		if err == nil {
			t.Fatal("not refused")
		}
	}
	if text := <-told; !strings.Contains(text, `"budget.exceeded"`) {
		t.Errorf("told %s", text)
	}
	time.Sleep(2 * lookEvery)
	if len(told) > 0 {
		t.Errorf("told again: %s", <-told)
	}
}
