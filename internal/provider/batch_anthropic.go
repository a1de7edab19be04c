package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// anthropicBatch is a message batch of Anthropic.
type anthropicBatch struct {
	ID               string    `json:"id"`
	ProcessingStatus string    `json:"processing_status"`
	CreatedAt        time.Time `json:"created_at"`
	ResultsURL       string    `json:"results_url"`
	RequestCounts    struct {
		Processing int `json:"processing"`
		Succeeded  int `json:"succeeded"`
		Errored    int `json:"errored"`
		Canceled   int `json:"canceled"`
		Expired    int `json:"expired"`
	} `json:"request_counts"`
}

func (b *anthropicBatch) listed() (string, time.Time) { return b.ID, b.CreatedAt }

func (b *anthropicBatch) state() BatchState {
	n := b.RequestCounts
	return BatchState{ID: b.ID, Status: b.ProcessingStatus, Ended: b.ProcessingStatus == "ended",
		Total: n.Processing + n.Succeeded + n.Errored + n.Canceled + n.Expired, Done: n.Succeeded, Failed: n.Errored}
}

// submitMessages submits a message batch.
func (u *Upstream) submitMessages(ctx context.Context, key string, items []BatchItem) (string, error) {
	var body bytes.Buffer
	body.WriteString(`{"requests":[`)
	for i := range items {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"custom_id":%q,"params":`, customID(key, items[i].ID))
		if err := json.Compact(&body, items[i].Body); err != nil {
			return "", err
		}
		body.WriteByte('}')
	}
	body.WriteString("]}")
	return u.submitOnce(ctx, u.batchPath(""), body.Bytes())
}

func (u *Upstream) getMessages(ctx context.Context, id string) (b anthropicBatch, err error) {
	answer, err := u.batchCall(ctx, http.MethodGet, u.batchPath(id), nil, "", nil)
	if err != nil {
		return b, err
	}
	if json.Unmarshal(answer, &b) != nil || b.ID != id || b.ProcessingStatus == "" {
		return anthropicBatch{}, malformed("the provider's answer is not the state of the batch")
	}
	return b, nil
}

// findMessages returns the id of the batch with a key, or an empty one. A batch shows its
// custom_ids only in its results.
func (u *Upstream) findMessages(ctx context.Context, key string, since time.Time) (string, error) {
	open := 0 // batches that could be the one
	id, err := findBatch(ctx, u, "after_id", since, func(b *anthropicBatch) (bool, error) {
		if !b.state().Ended {
			open++
			return false, nil
		}
		if b.ResultsURL == "" { // they are no longer kept
			return false, nil
		}
		mark, err := u.firstMark(ctx, b.ID)
		return mark == batchMark(key), err
	})
	if id == "" && err == nil && open > 0 {
		return "", fmt.Errorf("%w: %d batches have not ended, and only their results tell whether one of them is it", ErrBatchUnclear, open)
	}
	return id, err
}

// errEnough ends a download.
var errEnough = errors.New("enough was read")

// firstMark returns the mark in the first result of a batch. It is empty if it has none
// that this program can have given.
func (u *Upstream) firstMark(ctx context.Context, id string) (mark string, err error) {
	read := false
	err = u.batchLines(ctx, u.batchPath(id)+"/results", func(line []byte) error {
		custom, _, err := readMessagesLine(line)
		if err != nil {
			return err
		}
		mark, _, _ = splitCustomID(custom)
		read = true
		return errEnough
	}, func() error {
		if read {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return mark, err
}

// messagesResults reads the results. The address in results_url is not used, so that
// keys are sent to the base URL only.
func (u *Upstream) messagesResults(ctx context.Context, id string, results *batchResults) error {
	b, err := u.getMessages(ctx, id)
	if err != nil {
		return err
	}
	if state := b.state(); !state.Ended {
		return fmt.Errorf("it has not ended: its status is %.40q", state.Status)
	}
	if b.ResultsURL == "" {
		return errors.New("the provider no longer keeps them")
	}
	return u.batchLines(ctx, u.batchPath(id)+"/results", results.messages, results.failed)
}

// messages reads a line of results.
func (b *batchResults) messages(line []byte) error {
	id, r, err := readMessagesLine(line)
	if err != nil {
		return err
	}
	return b.add(id, r)
}

// anthropicStatuses are the statuses of Anthropic's types of errors.
var anthropicStatuses = map[string]int{
	"invalid_request_error": 400,
	"authentication_error":  401,
	"billing_error":         402,
	"permission_error":      403,
	"not_found_error":       404,
	"request_too_large":     413,
	"rate_limit_error":      429,
	"api_error":             500,
	"timeout_error":         504,
	"overloaded_error":      529,
}

// readMessagesLine reads a line of Anthropic's results. The result does not share its
// memory.
func readMessagesLine(line []byte) (id string, r BatchResult, err error) {
	var v struct {
		CustomID string `json:"custom_id"`
		Result   struct {
			Type    string          `json:"type"`
			Message json.RawMessage `json:"message"`
			Error   json.RawMessage `json:"error"`
		} `json:"result"`
	}
	if json.Unmarshal(line, &v) != nil || v.CustomID == "" {
		return "", r, malformed("a line of the results is not a result")
	}
	switch v.Result.Type {
	case "succeeded":
		if len(v.Result.Message) == 0 {
			return "", r, malformed("a line of the results has no message")
		}
		r.Status, r.Body = http.StatusOK, v.Result.Message
	case "errored":
		var e struct {
			Type  string `json:"type"`
			Error struct {
				Type string `json:"type"`
			} `json:"error"`
		}
		_ = json.Unmarshal(v.Result.Error, &e) // of another form, the type is unknown
		if r.Status = anthropicStatuses[e.Error.Type]; r.Status == 0 {
			r.Status = http.StatusInternalServerError
		}
		r.Body = v.Result.Error
	case "canceled", "expired":
		r.Expired = true
	default:
		return "", r, malformed(fmt.Sprintf("a line of the results has the unknown type %.40q", v.Result.Type))
	}
	return v.CustomID, r, nil
}
