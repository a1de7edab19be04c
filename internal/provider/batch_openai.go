package provider

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"time"
)

// openaiBatch is a batch of OpenAI.
type openaiBatch struct {
	ID            string            `json:"id"`
	Status        string            `json:"status"`
	CreatedAt     int64             `json:"created_at"`
	InputFileID   string            `json:"input_file_id"`
	OutputFileID  string            `json:"output_file_id"`
	ErrorFileID   string            `json:"error_file_id"`
	Metadata      map[string]string `json:"metadata"`
	RequestCounts struct {
		Total     int `json:"total"`
		Completed int `json:"completed"`
		Failed    int `json:"failed"`
	} `json:"request_counts"`
	Errors struct {
		Data []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Line    int    `json:"line"`
		} `json:"data"`
	} `json:"errors"`
}

func (b *openaiBatch) listed() (string, time.Time) { return b.ID, time.Unix(b.CreatedAt, 0) }

func (b *openaiBatch) state() BatchState {
	s := BatchState{ID: b.ID, Status: b.Status, Total: b.RequestCounts.Total, Done: b.RequestCounts.Completed, Failed: b.RequestCounts.Failed}
	switch b.Status {
	case "completed", "expired", "cancelled", "failed":
		s.Ended = true
	}
	if b.Status == "failed" {
		s.Reason = "the provider gave no reason"
		if errs := b.Errors.Data; len(errs) > 0 {
			s.Reason = cmp.Or(errs[0].Message, errs[0].Code)
			if errs[0].Line > 0 {
				s.Reason = fmt.Sprintf("line %d: %s", errs[0].Line, s.Reason)
			}
		}
	}
	return s
}

// batchFile returns the name of the file with the requests of a batch.
func batchFile(key string) string { return "carrot-" + batchMark(key) + ".jsonl" }

// submitFile uploads a file with the requests and submits a batch of it.
func (u *Upstream) submitFile(ctx context.Context, key string, items []BatchItem) (string, error) {
	endpoint := "/v1/" + items[0].API.Path()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	if err := w.WriteField("purpose", "batch"); err != nil {
		return "", err
	}
	part, err := w.CreateFormFile("file", batchFile(key))
	if err != nil {
		return "", err
	}
	var line bytes.Buffer
	for i := range items {
		line.Reset()
		fmt.Fprintf(&line, `{"custom_id":%q,"method":"POST","url":%q,"body":`, customID(key, items[i].ID), endpoint)
		if err := json.Compact(&line, items[i].Body); err != nil {
			return "", err
		}
		line.WriteString("}\n")
		if _, err := part.Write(line.Bytes()); err != nil {
			return "", err
		}
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	// An upload that is repeated leaves a file that nobody uses, and no batch.
	answer, err := u.batchCall(ctx, http.MethodPost, "files", nil, w.FormDataContentType(), form.Bytes())
	if err != nil {
		return "", fmt.Errorf("upload its requests: %w", err)
	}
	var file struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(answer, &file) != nil || file.ID == "" {
		return "", fmt.Errorf("upload its requests: %w", malformed("the provider's answer has no id of a file"))
	}
	body, err := json.Marshal(map[string]any{"input_file_id": file.ID, "endpoint": endpoint, "completion_window": "24h", "metadata": map[string]string{batchMetadata: key}})
	if err != nil {
		return "", err
	}
	return u.submitOnce(ctx, u.batchPath(""), body)
}

func (u *Upstream) getBatch(ctx context.Context, id string) (b openaiBatch, err error) {
	answer, err := u.batchCall(ctx, http.MethodGet, u.batchPath(id), nil, "", nil)
	if err != nil {
		return b, err
	}
	if json.Unmarshal(answer, &b) != nil || b.ID != id || b.Status == "" {
		return openaiBatch{}, malformed("the provider's answer is not the state of the batch")
	}
	return b, nil
}

// findFile returns the id of the batch with a key, or an empty one.
func (u *Upstream) findFile(ctx context.Context, key string, since time.Time) (string, error) {
	return findBatch(ctx, u, "after", since, func(b *openaiBatch) (bool, error) {
		if b.Metadata != nil || b.InputFileID == "" {
			return b.Metadata[batchMetadata] == key, nil
		}
		// Not all providers with OpenAI's API keep metadata.
		name, err := u.fileName(ctx, b.InputFileID)
		return name == batchFile(key), err
	})
}

// fileName returns the name of a file, which is empty if the file no longer exists.
func (u *Upstream) fileName(ctx context.Context, id string) (string, error) {
	answer, err := u.batchCall(ctx, http.MethodGet, "files/"+url.PathEscape(id), nil, "", nil)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var file struct {
		Filename string `json:"filename"`
	}
	if json.Unmarshal(answer, &file) != nil {
		return "", malformed("the provider's answer is not a file")
	}
	return file.Filename, nil
}

// fileResults reads the files with results and with errors.
func (u *Upstream) fileResults(ctx context.Context, id string, results *batchResults) error {
	b, err := u.getBatch(ctx, id)
	if err != nil {
		return err
	}
	switch state := b.state(); {
	case !state.Ended:
		return fmt.Errorf("it has not ended: its status is %.40q", state.Status)
	case state.Reason != "":
		return errors.New("the provider refused it: " + u.clean(state.Reason))
	}
	for _, file := range []string{b.OutputFileID, b.ErrorFileID} {
		if file == "" {
			continue
		}
		path := "files/" + url.PathEscape(file) + "/content"
		if err := u.batchLines(ctx, path, results.file, results.failed); err != nil {
			return err
		}
	}
	return nil
}

// failed returns the error of each.
func (b *batchResults) failed() error { return b.err }

// file reads a line of a file with results or errors.
func (b *batchResults) file(line []byte) error {
	id, r, err := readFileLine(line)
	if err != nil {
		return err
	}
	return b.add(id, r)
}

// readFileLine reads a line of OpenAI's results. The result does not share its memory.
func readFileLine(line []byte) (id string, r BatchResult, err error) {
	var v struct {
		CustomID string `json:"custom_id"`
		Response *struct {
			StatusCode int             `json:"status_code"`
			Body       json.RawMessage `json:"body"`
		} `json:"response"`
		Error *struct {
			Code    json.RawMessage `json:"code"`
			Message json.RawMessage `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(line, &v) != nil || v.CustomID == "" {
		return "", r, malformed("a line of the results is not a result")
	}
	switch {
	case v.Response != nil && v.Response.StatusCode >= 100 && v.Response.StatusCode <= 599:
		r.Status, r.Body = v.Response.StatusCode, v.Response.Body
		if r.Status/100 == 2 {
			r.Status = http.StatusOK
		}
		return v.CustomID, r, nil
	case v.Error == nil:
		return "", r, malformed("a line of the results has neither an answer nor an error")
	}
	switch jsonText(v.Error.Code) {
	case "batch_expired", "batch_cancelled":
		r.Expired = true
		return v.CustomID, r, nil
	}
	r.Status = http.StatusInternalServerError
	if r.Body, err = json.Marshal(map[string]any{"error": v.Error}); err != nil {
		return "", r, malformed("a line of the results has an error that is not JSON")
	}
	return v.CustomID, r, nil
}
