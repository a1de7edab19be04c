package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// Limits of OpenAI's batches.
const (
	maxBatchFile  = 200 << 20
	maxBatchLines = 50_000
)

// batchObject is a batch in OpenAI's form.
type batchObject struct {
	ID               string          `json:"id"`
	Object           string          `json:"object"`
	Endpoint         string          `json:"endpoint"`
	Errors           *batchErrors    `json:"errors"`
	InputFileID      string          `json:"input_file_id"`
	CompletionWindow string          `json:"completion_window"`
	Model            *string         `json:"model"`
	Status           string          `json:"status"`
	OutputFileID     *string         `json:"output_file_id"`
	ErrorFileID      *string         `json:"error_file_id"`
	CreatedAt        int64           `json:"created_at"`
	InProgressAt     *int64          `json:"in_progress_at"`
	ExpiresAt        *int64          `json:"expires_at"`
	FinalizingAt     *int64          `json:"finalizing_at"`
	CompletedAt      *int64          `json:"completed_at"`
	FailedAt         *int64          `json:"failed_at"`
	ExpiredAt        *int64          `json:"expired_at"`
	CancellingAt     *int64          `json:"cancelling_at"`
	CancelledAt      *int64          `json:"cancelled_at"`
	RequestCounts    requestCounts   `json:"request_counts"`
	Metadata         json.RawMessage `json:"metadata"`
}

type batchErrors struct {
	Object string        `json:"object"`
	Data   []invalidLine `json:"data"`
}

type requestCounts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

func (b *batch) object() batchObject {
	at := func(status string) *int64 {
		t, ok := b.at[status]
		if !ok {
			return nil
		}
		unix := t.Unix()
		return &unix
	}
	name := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	expires := b.created.Add(batchWindow).Unix()
	o := batchObject{ID: b.id, Object: "batch", Endpoint: b.endpoint, InputFileID: b.input, CompletionWindow: "24h", Model: name(b.model), Status: b.status,
		OutputFileID: name(b.output), ErrorFileID: name(b.errors), CreatedAt: b.created.Unix(), ExpiresAt: &expires,
		InProgressAt: at(inProgress), FinalizingAt: at(finalizing), CompletedAt: at(completed), FailedAt: at(failed), ExpiredAt: at(expired),
		CancellingAt: at(cancelling), CancelledAt: at(cancelled), Metadata: b.metadata}
	if b.status != validating && b.status != failed {
		o.RequestCounts.Total = len(b.lines)
	}
	for i := range b.lines {
		switch status := b.lines[i].status; {
		case status == http.StatusOK:
			o.RequestCounts.Completed++
		case status != 0:
			o.RequestCounts.Failed++
		}
	}
	if b.status == failed {
		o.Errors = &batchErrors{"list", b.invalid}
	}
	return o
}

// serveBatches answers a request about OpenAI's batches.
func (p *Provider) serveBatches(w http.ResponseWriter, r *http.Request, verb, key string) *refusal {
	if verb == "POST" {
		return p.createBatch(w, r, key)
	}
	_, _, rest := storePath(r.URL.Path)
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	switch verb {
	case "GET":
		query := r.URL.Query()
		mine := slices.DeleteFunc(slices.Clone(p.store.batches), func(b *batch) bool { return b.key != key || b.api == wire.Messages })
		return sendList(w, "list", mine, listPart{after: query.Get("after"), limit: query.Get("limit"), most: 100}, (*batch).name, func(b *batch) any {
			p.advance(b)
			return b.object()
		})
	case "GET/ID", "POST/ID/cancel":
		b := p.findBatch(wire.Chat, rest[0], key, verb == "GET/ID")
		if b == nil {
			e := badRequest("", "", "No batch found with id '"+rest[0]+"'.")
			e.status = http.StatusNotFound
			return e
		}
		if verb == "POST/ID/cancel" {
			if b.ended() {
				e := badRequest("", "", "Cannot cancel a batch with status '"+b.status+"'.")
				e.status = http.StatusConflict
				return e
			}
			b.become(cancelling, time.Now())
		}
		send(w, b.object())
		return nil
	}
	return noRoute(r)
}

// createBatch adds a batch. Mistakes in its file show later, in its state.
func (p *Provider) createBatch(w http.ResponseWriter, r *http.Request, key string) *refusal {
	var asked struct {
		InputFileID      string            `json:"input_file_id"`
		Endpoint         string            `json:"endpoint"`
		CompletionWindow string            `json:"completion_window"`
		Metadata         map[string]string `json:"metadata"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil || json.Unmarshal(body, &asked) != nil {
		return invalidJSON(wire.Chat)
	}
	b := &batch{key: key, endpoint: asked.Endpoint, input: asked.InputFileID, metadata: json.RawMessage("null")}
	switch asked.Endpoint {
	case "/v1/chat/completions":
		b.api = wire.Chat
	case "/v1/responses":
		b.api = wire.Responses
	case "":
		return badRequest("endpoint", "missing_required_parameter", "Missing required parameter: 'endpoint'.")
	default:
		return badRequest("endpoint", "invalid_value", fmt.Sprintf("Invalid value: '%s'. A simulated provider supports '/v1/responses' and '/v1/chat/completions'.", asked.Endpoint))
	}
	if asked.CompletionWindow != "24h" {
		return badRequest("completion_window", "invalid_value", fmt.Sprintf("Invalid value: '%s'. Supported values are: '24h'.", asked.CompletionWindow))
	}
	if asked.Metadata != nil {
		if bad := checkMetadata(asked.Metadata); bad != nil {
			return bad
		}
		b.metadata, _ = json.Marshal(asked.Metadata) // strings can always be written
	}
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	i := slices.IndexFunc(p.store.files, func(f *file) bool { return f.id == asked.InputFileID && f.key == key })
	if i < 0 || p.store.files[i].purpose != "batch" {
		return badRequest("input_file_id", "invalid_input_file", "The file '"+asked.InputFileID+"' does not exist or does not have the purpose 'batch'.")
	}
	b.read(p.store.files[i].data)
	if p.newBatch("batch_", b) {
		panic(http.ErrAbortHandler)
	}
	send(w, b.object())
	return nil
}

func checkMetadata(m map[string]string) *refusal {
	if len(m) > 16 {
		return badRequest("metadata", "object_above_max_properties", "Invalid 'metadata': too many properties. Expected an object with at most 16 properties.")
	}
	for key, value := range m {
		if len(key) > 64 || len(value) > 512 {
			return badRequest("metadata", "string_above_max_length", "Invalid 'metadata': keys have at most 64 characters and values at most 512.")
		}
	}
	return nil
}

// maxInvalid is how many mistakes in a file are reported.
const maxInvalid = 20

// read reads the requests of a file, and notes what is wrong with them.
func (b *batch) read(data []byte) {
	seen := map[string]bool{}
	n := 0
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		if n++; len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var asked struct {
			CustomID string          `json:"custom_id"`
			Method   string          `json:"method"`
			URL      string          `json:"url"`
			Body     json.RawMessage `json:"body"`
		}
		var body struct {
			Model  string `json:"model"`
			Stream bool   `json:"stream"`
		}
		wrong := func(code, message string) {
			if len(b.invalid) < maxInvalid {
				b.invalid = append(b.invalid, invalidLine{Code: code, Message: message, Line: n})
			}
		}
		switch {
		case json.Unmarshal(line, &asked) != nil:
			wrong("invalid_json_line", "This line is not parseable as valid JSON.")
			continue
		case asked.CustomID == "":
			wrong("missing_required_parameter", "Missing required parameter: 'custom_id'.")
		case seen[asked.CustomID]:
			wrong("duplicate_custom_id", "The custom_id '"+asked.CustomID+"' is not unique.")
		case asked.Method != http.MethodPost:
			wrong("invalid_method", "The method must be POST.")
		case asked.URL != b.endpoint:
			wrong("mismatched_endpoint", "The URL does not match the endpoint of the batch.")
		case json.Unmarshal(asked.Body, &body) != nil || !strings.HasPrefix(strings.TrimSpace(string(asked.Body)), "{"):
			wrong("invalid_request", "The body is not a JSON object.")
		case body.Stream:
			wrong("invalid_request", "Streaming is not supported in batches.")
		case b.model != "" && body.Model != b.model:
			wrong("mismatched_model", "All requests of a batch must have the same model.")
		}
		seen[asked.CustomID] = true
		if b.model == "" {
			b.model = body.Model
		}
		b.lines = append(b.lines, batchLine{id: asked.CustomID, body: asked.Body})
	}
	switch {
	case n == 0 || len(b.lines) == 0 && len(b.invalid) == 0:
		b.invalid = append(b.invalid, invalidLine{Code: "empty_file", Message: "The file has no requests.", Line: 1})
	case len(b.lines) > maxBatchLines:
		b.invalid = append(b.invalid, invalidLine{Code: "too_many_tasks", Message: "The batch has more than 50000 requests.", Line: maxBatchLines + 1})
	}
}

// outputLine is a line of a file with results.
type outputLine struct {
	ID       string          `json:"id"`
	CustomID string          `json:"custom_id"`
	Response *outputResponse `json:"response"`
	Error    *outputError    `json:"error"`
}

type outputResponse struct {
	StatusCode int             `json:"status_code"`
	RequestID  string          `json:"request_id"`
	Body       json.RawMessage `json:"body"`
}

type outputError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// finish ends a batch. For OpenAI, it writes the files with the results.
func (p *Provider) finish(b *batch, status string, now time.Time) {
	b.become(status, now)
	if b.api == wire.Messages {
		return
	}
	var output, errors []byte
	for _, i := range b.order {
		l := &b.lines[i]
		o := outputLine{ID: "batch_req_" + strconv.FormatUint(hashText(hashText(0, b.id), l.id), 36), CustomID: l.id}
		switch {
		case l.status != 0:
			o.Response = &outputResponse{l.status, l.requestID, l.answer}
		case status == cancelled:
			o.Error = &outputError{"batch_cancelled", "This request was not executed, because the batch was cancelled."}
		default:
			o.Error = &outputError{"batch_expired", "This request could not be executed before the completion window expired."}
		}
		line, err := json.Marshal(o)
		if err != nil {
			panic("simulate: write a result: " + err.Error()) // impossible: answers are JSON
		}
		if l.status == http.StatusOK {
			output = append(append(output, line...), '\n')
		} else {
			errors = append(append(errors, line...), '\n')
		}
	}
	write := func(data []byte, name string) string {
		if len(data) == 0 {
			return ""
		}
		return p.addFile(&file{key: b.key, name: b.id + name, purpose: "batch_output", data: data})
	}
	b.output, b.errors = write(output, "_output.jsonl"), write(errors, "_error.jsonl")
}
