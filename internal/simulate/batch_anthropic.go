package simulate

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// Limits of Anthropic's message batches.
const (
	maxMessageBatch      = 256 << 20
	maxMessageBatchLines = 100_000
)

var customID = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// messageBatch is a message batch in Anthropic's form.
type messageBatch struct {
	ID                string        `json:"id"`
	Type              string        `json:"type"`
	ProcessingStatus  string        `json:"processing_status"`
	RequestCounts     messageCounts `json:"request_counts"`
	EndedAt           *string       `json:"ended_at"`
	CreatedAt         string        `json:"created_at"`
	ExpiresAt         string        `json:"expires_at"`
	ArchivedAt        *string       `json:"archived_at"`
	CancelInitiatedAt *string       `json:"cancel_initiated_at"`
	ResultsURL        *string       `json:"results_url"`
}

// messageCounts counts the requests of a message batch. All of them are processing until
// the whole batch has ended.
type messageCounts struct {
	Processing int `json:"processing"`
	Succeeded  int `json:"succeeded"`
	Errored    int `json:"errored"`
	Canceled   int `json:"canceled"`
	Expired    int `json:"expired"`
}

// messageBatch returns the batch as the request r sees it.
func (b *batch) messageBatch(r *http.Request) messageBatch {
	const form = "2006-01-02T15:04:05.000000Z07:00"
	at := func(statuses ...string) *string {
		for _, status := range statuses {
			if t, ok := b.at[status]; ok {
				text := t.UTC().Format(form)
				return &text
			}
		}
		return nil
	}
	m := messageBatch{ID: b.id, Type: "message_batch", ProcessingStatus: "in_progress", CreatedAt: b.created.UTC().Format(form),
		ExpiresAt: b.created.Add(batchWindow).UTC().Format(form), CancelInitiatedAt: at(cancelling), EndedAt: at(completed, expired, cancelled)}
	if !b.ended() {
		m.RequestCounts.Processing = len(b.lines)
		if b.status == cancelling {
			m.ProcessingStatus = "canceling"
		}
		return m
	}
	m.ProcessingStatus = "ended"
	base, _, _ := storePath(r.URL.Path)
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	address := scheme + "://" + r.Host + base + "/batches/" + b.id + "/results"
	m.ResultsURL = &address
	for i := range b.lines {
		switch b.outcome(&b.lines[i]) {
		case "succeeded":
			m.RequestCounts.Succeeded++
		case "errored":
			m.RequestCounts.Errored++
		case "canceled":
			m.RequestCounts.Canceled++
		default:
			m.RequestCounts.Expired++
		}
	}
	return m
}

// outcome returns the type of a line's result.
func (b *batch) outcome(l *batchLine) string {
	switch {
	case l.status == http.StatusOK:
		return "succeeded"
	case l.status != 0:
		return "errored"
	case b.status == cancelled:
		return "canceled"
	}
	return "expired"
}

// messageBatches answers a request about Anthropic's message batches.
func (p *Provider) messageBatches(w http.ResponseWriter, r *http.Request, verb, key string) *refusal {
	switch verb {
	case "POST":
		return p.createMessageBatch(w, r, key)
	case "GET":
		return p.listMessageBatches(w, r, key)
	}
	_, _, rest := storePath(r.URL.Path)
	if len(rest) == 0 {
		return noRoute(r)
	}
	data, bad := p.oneMessageBatch(w, r, verb, rest[0], key)
	if bad == nil && verb == "GET/ID/results" {
		p.download(w, data, "application/x-jsonl", true)
	}
	return bad
}

// oneMessageBatch answers a request about one message batch, or returns its results.
func (p *Provider) oneMessageBatch(w http.ResponseWriter, r *http.Request, verb, id, key string) (results []byte, bad *refusal) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	b := p.findBatch(wire.Messages, id, key, verb == "GET/ID")
	if b == nil {
		e := badRequest("", "", "No message batch found with the id "+id)
		e.status = http.StatusNotFound
		return nil, e
	}
	switch verb {
	case "GET/ID":
		send(w, b.messageBatch(r))
	case "POST/ID/cancel":
		if b.ended() {
			return nil, badRequest("", "", "The message batch "+b.id+" has ended and cannot be canceled.")
		}
		b.become(cancelling, time.Now())
		send(w, b.messageBatch(r))
	case "GET/ID/results":
		if !b.ended() {
			e := badRequest("", "", "The message batch "+b.id+" has not ended and has no results.")
			e.status = http.StatusNotFound
			return nil, e
		}
		return b.results(), nil
	case "DELETE/ID":
		if !b.ended() {
			return nil, badRequest("", "", "The message batch "+b.id+" has not ended and cannot be deleted.")
		}
		p.store.batches = slices.DeleteFunc(p.store.batches, func(other *batch) bool { return other == b })
		send(w, struct {
			ID   string `json:"id"`
			Type string `json:"type"`
		}{b.id, "message_batch_deleted"})
	default:
		return nil, noRoute(r)
	}
	return nil, nil
}

func (p *Provider) listMessageBatches(w http.ResponseWriter, r *http.Request, key string) *refusal {
	query := r.URL.Query()
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	mine := slices.DeleteFunc(slices.Clone(p.store.batches), func(b *batch) bool { return b.key != key || b.api != wire.Messages })
	part := listPart{after: query.Get("after_id"), before: query.Get("before_id"), limit: query.Get("limit"), most: 1000}
	return sendList(w, "", mine, part, (*batch).name, func(b *batch) any {
		p.advance(b)
		return b.messageBatch(r)
	})
}

// createMessageBatch adds a batch. Mistakes in the parameters of a request show later,
// in its result.
func (p *Provider) createMessageBatch(w http.ResponseWriter, r *http.Request, key string) *refusal {
	var asked struct {
		Requests []struct {
			CustomID string          `json:"custom_id"`
			Params   json.RawMessage `json:"params"`
		} `json:"requests"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessageBatch))
	if err != nil {
		e := badRequest("", "", "Request exceeds the maximum size")
		e.status = http.StatusRequestEntityTooLarge
		return e
	}
	if json.Unmarshal(body, &asked) != nil {
		return invalidJSON(wire.Messages)
	}
	if len(asked.Requests) == 0 || len(asked.Requests) > maxMessageBatchLines {
		return badRequest("", "", fmt.Sprintf("requests: List should have at least 1 item and at most %d items", maxMessageBatchLines))
	}
	b := &batch{key: key, api: wire.Messages}
	seen := map[string]bool{}
	for i, line := range asked.Requests {
		switch {
		case !customID.MatchString(line.CustomID):
			return badRequest("", "", fmt.Sprintf("requests.%d.custom_id: String should match pattern '%s'", i, customID))
		case seen[line.CustomID]:
			return badRequest("", "", fmt.Sprintf("requests.%d.custom_id: the id %s is not unique", i, line.CustomID))
		case len(line.Params) == 0 || line.Params[0] != '{':
			return badRequest("", "", fmt.Sprintf("requests.%d.params: Field required", i))
		}
		seen[line.CustomID] = true
		b.lines = append(b.lines, batchLine{id: line.CustomID, body: line.Params})
	}
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	lost := p.newBatch("msgbatch_", b)
	b.become(inProgress, b.created)
	if lost {
		panic(http.ErrAbortHandler)
	}
	send(w, b.messageBatch(r))
	return nil
}

// results writes the results of an ended batch.
func (b *batch) results() []byte {
	var all []byte
	for _, i := range b.order {
		l := &b.lines[i]
		var line struct {
			CustomID string `json:"custom_id"`
			Result   struct {
				Type    string          `json:"type"`
				Message json.RawMessage `json:"message,omitempty"`
				Error   json.RawMessage `json:"error,omitempty"`
			} `json:"result"`
		}
		line.CustomID, line.Result.Type = l.id, b.outcome(l)
		switch line.Result.Type {
		case "succeeded":
			line.Result.Message = l.answer
		case "errored":
			line.Result.Error = l.answer
		}
		text, err := json.Marshal(line)
		if err != nil {
			panic("simulate: write a result: " + err.Error()) // impossible: answers are JSON
		}
		all = append(append(all, text...), '\n')
	}
	return all
}
