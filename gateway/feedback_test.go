package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/record"
)

// opinions keep feedback on requests, whose clients they know.
type opinions struct {
	mu      sync.Mutex
	clients map[string]string
	said    []record.Feedback
	fail    error
}

func (o *opinions) AddFeedback(_ context.Context, f *record.Feedback) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	client, ok := o.clients[f.RequestID]
	if !ok || f.By == "" && client != f.Client {
		return "", fmt.Errorf("feedback: %w", record.ErrUnknownRequest)
	}
	if o.fail != nil {
		return "", o.fail
	}
	o.said = append(o.said, *f)
	return "auto:mu=0.5", nil
}

const feedbackConfig = simulatedConfig + `
admin_key: admin-key-0123456789
clients:
  - {name: support, key: support-key-0123456789}
  - {name: search, key: search-key-0123456789}
feedback:
  labels: {good: 1, fair: 0.5}
`

// TestFeedback: the client of a request, and an administrator, may say how good its answer
// was. What is wrong is named, and other clients' requests are not told from unknown ones.
func TestFeedback(t *testing.T) {
	kept := &opinions{clients: map[string]string{"req_1": "support"}}
	registry := prometheus.NewRegistry()
	r := newRigWith(t, feedbackConfig, simulated(0), source(), gateway.Options{Feedback: kept, Registerer: registry})
	support, search, admin := "Authorization: Bearer support-key-0123456789", "x-api-key: search-key-0123456789", "Authorization: Bearer admin-key-0123456789"
	for _, c := range []struct {
		body, key string
		status    int
		param     string // of an error
		said      string // kind, score, label, client, by
	}{
		{`{"request_id": "req_1", "score": 0.25, "note": "too long"}`, support, 200, "", "score 0.25 support "},
		{`{"request_id": "req_1", "thumb": "up"}`, support, 200, "", "thumb 1 support "},
		{`{"request_id": "req_1", "label": "fair", "score": null}`, support, 200, "", "label 0.5 support "},
		{`{"request_id": "req_1", "label": "odd"}`, support, 200, "", "label unknown support "},
		{`{"request_id": "req_1", "success": false}`, admin, 200, "", "success 0  admin"},
		{`{"request_id": "req_1", "success": false}`, search, 404, "request_id", ""},
		{`{"request_id": "req_2", "success": false}`, search, 404, "request_id", ""},
		{`{"request_id": "req_2", "success": false}`, admin, 404, "request_id", ""},
		{`{"request_id": "req_1", "thumb": "up"}`, "x-api-key: other-key-0123456789", 401, "", ""},
		{`{"request_id": "req_1", "thumb": "sideways"}`, support, 400, "thumb", ""},
		{`{"request_id": "req_1", "thumb": true}`, support, 400, "thumb", ""},
		{`{"request_id": "req_1", "score": 7}`, support, 400, "score", ""},
		{`{"request_id": "req_1", "score": "0.5"}`, support, 400, "score", ""},
		{`{"request_id": "req_1", "success": "true"}`, support, 400, "success", ""},
		{`{"request_id": "req_1", "success": {"a": 1}}`, support, 400, "success", ""},
		{`{"request_id": "req_1", "label": ""}`, support, 400, "label", ""},
		{`{"request_id": "req_1", "score": 1, "thumb": "up"}`, support, 400, "thumb", ""},
		{`{"request_id": "req_1", "thumbs": "up"}`, support, 400, "thumbs", ""},
		{`{"request_id": "req_1"}`, support, 400, "score", ""},
		{`{"thumb": "up"}`, support, 400, "request_id", ""},
		{`{"request_id": 1, "thumb": "up"}`, support, 400, "request_id", ""},
		{`{"request_id": "req_1", "thumb": "up", "note": "` + strings.Repeat("a", 4097) + `"}`, support, 400, "note", ""},
		{`["req_1"]`, support, 400, "", ""},
		{`null`, support, 400, "", ""},
		{`{`, support, 400, "", ""},
		{`"` + strings.Repeat("a", 65<<10) + `"`, support, 413, "", ""},
	} {
		before := len(kept.said)
		a := r.post(t, "/v1/feedback", c.body, c.key)
		if a.status != c.status || gjson.Get(a.body, "error.param").String() != c.param {
			t.Errorf("%.80s: status %d: %s, want %d, param %q", c.body, a.status, a.body, c.status, c.param)
			continue
		}
		said := ""
		if len(kept.said) > before {
			f := kept.said[before]
			score := "unknown"
			if f.Score != nil {
				score = fmt.Sprint(*f.Score)
			}
			said = fmt.Sprintf("%s %s %s %s", f.Kind, score, f.Client, f.By)
			if answer := gjson.Get(a.body, "score"); answer.Exists() && answer.String() != strings.Replace(score, "unknown", "", 1) {
				t.Errorf("%s: the answer has the score %s", c.body, answer)
			}
		}
		if said != c.said {
			t.Errorf("%s: kept %q, want %q", c.body, said, c.said)
		}
	}
	// A request of another client and one that does not exist have one answer.
	var bodies []string
	for _, id := range []string{"req_1", "req_2"} {
		a := r.post(t, "/v1/feedback", `{"request_id": "`+id+`", "thumb": "up"}`, search)
		bodies = append(bodies, strings.NewReplacer(id, "ID", a.header.Get("X-Carrot-Request-Id"), "OWN").Replace(a.body))
	}
	if bodies[0] != bodies[1] {
		t.Errorf("another client's request: %s, an unknown one: %s", bodies[0], bodies[1])
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP carrot_feedback_total Feedback on answers that was kept, by what was said (kind: score, thumb, label, success) and the policy of the request; it is empty for requests that named a model.
# TYPE carrot_feedback_total counter
carrot_feedback_total{kind="label",policy="auto"} 2
carrot_feedback_total{kind="score",policy="auto"} 1
carrot_feedback_total{kind="success",policy="auto"} 1
carrot_feedback_total{kind="thumb",policy="auto"} 1
`), "carrot_feedback_total"); err != nil {
		t.Error(err)
	}
	kept.fail = errors.New("the disk is full")
	if a := r.post(t, "/v1/feedback", `{"request_id": "req_1", "thumb": "up"}`, support); a.status != 503 || a.header.Get("Retry-After") == "" || strings.Contains(a.body, "disk") {
		t.Errorf("a store that fails: status %d: %s", a.status, a.body)
	}
	if w := send(r, "GET", "/v1/feedback", "", support); w.Code != 405 {
		t.Errorf("GET: status %d: %s", w.Code, w.Body)
	}
	none := newRigWith(t, simulatedConfig, simulated(0), source(), gateway.Options{})
	if a := none.post(t, "/v1/feedback", `{"request_id": "req_1", "thumb": "up"}`); a.status != 503 || !strings.Contains(a.body, "store") {
		t.Errorf("without a store: status %d: %s", a.status, a.body)
	}
}
