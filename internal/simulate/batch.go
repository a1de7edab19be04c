package simulate

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// Service tiers that are billed at prices of their own.
const (
	flexTier  = "flex"
	batchTier = "batch"
)

// answeredTier is the service tier that an answer of OpenAI's APIs names. Batches are
// answered with the default tier.
func (r *request) answeredTier() string {
	if r.tier == flexTier {
		return flexTier
	}
	return "default"
}

// Batching is how a provider processes batches. Their requests are answered one after
// the other, without delays and limits of the models, and billed when they are answered.
// A batch belongs to the key that submitted it; for other keys it does not exist.
type Batching struct {
	// Polls is how often a client gets the state of a batch before it has ended, and
	// After is how long it takes. If both are set, both must have passed.
	Polls int
	After time.Duration
	// Shuffle gives the results in another order than the requests.
	Shuffle bool
	// Failing and Expiring are shares of the requests, 0 to 1, that fail with status 500
	// or are not answered before the batch expires.
	Failing, Expiring float64
	// Duplicates gives every third result twice.
	Duplicates bool
	// LoseAnswers is the number of submissions that are accepted, but whose connection
	// breaks before the answer: those that come first.
	LoseAnswers int
	// CutResults is the number of downloads of results whose connection breaks in the
	// middle: those that come first.
	CutResults int
}

// store holds the files and batches of a provider.
type store struct {
	mu      sync.Mutex
	files   []*file
	batches []*batch
	lost    int // submissions whose answer was lost
	cut     int // downloads that were cut
}

// file is an uploaded or written file.
type file struct {
	id, key, name, purpose string
	created                time.Time
	data                   []byte
}

// batch is a batch of either API.
type batch struct {
	id, key string
	api     wire.API
	created time.Time
	lines   []batchLine
	order   []int // of the results
	polls   int   // how often its state was asked for
	done    int   // lines that were processed
	status  string
	at      map[string]time.Time // when it got a status

	// For OpenAI.
	endpoint, input string
	model           string // of the first request
	output, errors  string // files
	metadata        json.RawMessage
	invalid         []invalidLine
}

// batchLine is a request of a batch and its result.
type batchLine struct {
	id, requestID string
	body          []byte
	fails         bool // when it is answered
	expires       bool // it is not answered
	status        int  // 0: not answered
	answer        []byte
}

// invalidLine is why a batch of OpenAI is not processed.
type invalidLine struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
	Line    int     `json:"line"`
}

// The states of a batch, in OpenAI's words.
const (
	validating = "validating"
	inProgress = "in_progress"
	finalizing = "finalizing"
	completed  = "completed"
	expired    = "expired"
	cancelling = "cancelling"
	cancelled  = "cancelled"
	failed     = "failed"
)

// batchWindow is the time in which a batch is to be processed.
const batchWindow = 24 * time.Hour

func (b *batch) name() string { return b.id }

// ended reports whether nothing more happens to the batch.
func (b *batch) ended() bool {
	return b.status == completed || b.status == expired || b.status == cancelled || b.status == failed
}

// become sets the status.
func (b *batch) become(status string, now time.Time) {
	if b.status != status {
		b.status = status
		b.at[status] = now
	}
}

// newBatch adds a batch. It reports whether the answer to the submission is lost. The
// store must be locked.
func (p *Provider) newBatch(prefix string, b *batch) (lost bool) {
	b.id = newID(prefix, p.Seed, p.calls.Add(1))
	b.created, b.at = time.Now(), map[string]time.Time{}
	b.become(validating, b.created)
	draw := rand.New(rand.NewPCG(p.Seed, hashText(0, b.id)))
	b.order = make([]int, len(b.lines))
	for i := range b.lines {
		b.order[i] = i
		b.lines[i].expires = draw.Float64() < p.Batching.Expiring
		b.lines[i].fails = draw.Float64() < p.Batching.Failing
	}
	if p.Batching.Shuffle {
		draw.Shuffle(len(b.order), func(i, j int) { b.order[i], b.order[j] = b.order[j], b.order[i] })
	}
	if p.Batching.Duplicates {
		for i := 0; i < len(b.lines); i += 3 {
			b.order = append(b.order, b.order[i])
		}
	}
	p.store.batches = append(p.store.batches, b)
	if p.store.lost >= p.Batching.LoseAnswers {
		return false
	}
	p.store.lost++
	return true
}

// findBatch returns a batch of a key after what has happened to it since the last time.
// asked says that a client asks for its state. The store must be locked.
func (p *Provider) findBatch(api wire.API, id, key string, asked bool) *batch {
	for _, b := range p.store.batches {
		if b.id == id && b.key == key && (b.api == wire.Messages) == (api == wire.Messages) {
			if asked {
				b.polls++
			}
			p.advance(b)
			return b
		}
	}
	return nil
}

// advance processes the lines whose time has come.
func (p *Provider) advance(b *batch) {
	now := time.Now()
	if b.ended() {
		return
	}
	if b.status == cancelling {
		p.finish(b, cancelled, now)
		return
	}
	if len(b.invalid) > 0 {
		b.become(failed, now)
		return
	}
	part := p.progress(b, now)
	b.process(p, int(part*float64(len(b.lines))))
	switch {
	case part >= 1:
		b.become(inProgress, now)
		b.become(finalizing, now)
		status := completed
		if slices.ContainsFunc(b.lines, func(l batchLine) bool { return l.expires }) {
			status = expired
		}
		p.finish(b, status, now)
	case part > 0.9:
		b.become(inProgress, now)
		b.become(finalizing, now)
	case part >= 0.2 || b.polls > 1:
		b.become(inProgress, now)
	}
}

// progress returns how much of a batch is processed at a time, 0 to 1.
func (p *Provider) progress(b *batch, now time.Time) float64 {
	part := 1.0
	if p.Batching.Polls > 0 && b.polls <= p.Batching.Polls {
		part = float64(b.polls) / float64(p.Batching.Polls+1)
	}
	if p.Batching.After > 0 {
		part = min(part, float64(now.Sub(b.created))/float64(p.Batching.After))
	}
	return part
}

// process answers the first n lines.
func (b *batch) process(p *Provider, n int) {
	for ; b.done < n; b.done++ {
		l := &b.lines[b.done]
		if l.expires {
			continue
		}
		l.requestID = newID("req_", hashText(p.Seed, l.id), p.calls.Add(1))
		if l.fails {
			bad := failures[0].as(b.api)
			l.status, l.answer = bad.status, bad.body(nil, b.api, l.requestID)
			continue
		}
		l.status, l.answer = p.answerLine(b.api, l.body, l.requestID)
		l.body = nil
	}
}

// answerLine answers a request of a batch.
func (p *Provider) answerLine(api wire.API, body []byte, requestID string) (status int, answer []byte) {
	w := &written{status: http.StatusOK, header: http.Header{}}
	r, bad := parse(api, body, false)
	if bad == nil {
		r.tier, r.stream = batchTier, false
		bad = p.converse(context.Background(), w, r, "", requestID, false)
	}
	if bad != nil {
		return bad.status, bad.body(nil, api, requestID)
	}
	return w.status, w.body
}

// written is an answer in memory.
type written struct {
	status int
	header http.Header
	body   []byte
}

func (w *written) Header() http.Header    { return w.header }
func (w *written) WriteHeader(status int) { w.status = status }
func (w *written) Write(b []byte) (int, error) {
	w.body = append(w.body, b...)
	return len(b), nil
}

// storePath splits the path of files and batches: what is "files" or "batches" or, if
// the path is another one, empty; base is the part before it, and rest are the parts
// after it.
func storePath(path string) (base, what string, rest []string) {
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i := len(parts) - 1; i > 0 && i >= len(parts)-3; i-- {
		if parts[i] == "files" || parts[i] == "batches" {
			return strings.Join(parts[:i], "/"), parts[i], parts[i+1:]
		}
	}
	return "", "", nil
}

// serveStore answers a request about files and batches.
func (p *Provider) serveStore(w http.ResponseWriter, r *http.Request, api wire.API, what, key string) *refusal {
	_, _, rest := storePath(r.URL.Path)
	verb := r.Method
	for i, part := range rest {
		if i == 0 {
			part = "ID"
		}
		verb += "/" + part
	}
	switch {
	case api == wire.Messages:
		return p.messageBatches(w, r, verb, key)
	case what == "files":
		return p.serveFiles(w, r, verb, key)
	}
	return p.serveBatches(w, r, verb, key)
}

// noRoute is the answer to a request of which the API knows nothing.
func noRoute(r *http.Request) *refusal {
	e := badRequest("", "", "Invalid URL ("+r.Method+" "+r.URL.Path+")")
	e.status = http.StatusNotFound
	return e
}

// send writes a value as JSON.
func send(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("simulate: write an answer: " + err.Error()) // impossible: all values can be written
	}
	writeJSON(w, http.StatusOK, body)
}

// download sends the data of a file. Results may be cut in the middle.
func (p *Provider) download(w http.ResponseWriter, data []byte, kind string, results bool) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusOK)
	p.store.mu.Lock()
	cut := results && p.store.cut < p.Batching.CutResults
	if cut {
		p.store.cut++
	}
	p.store.mu.Unlock()
	if cut {
		_, _ = w.Write(data[:len(data)/2])
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(data) // fails only if the client has hung up
}
