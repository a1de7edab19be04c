package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// BatchItem is a request of a batch.
type BatchItem struct {
	ID   string   // unique in the batch: 1 to MaxBatchID of the characters a-z, A-Z, 0-9, _ and -
	API  wire.API // the same for all items of a batch
	Body []byte   // the body as it would be sent alone, not streamed; the same model for all items
}

// BatchState is how far a batch is.
type BatchState struct {
	ID     string
	Ended  bool   // nothing more happens to it, and its results can be read
	Status string // the provider's word: OpenAI's status, Anthropic's processing_status
	// Total is the number of requests, Done those that were answered and Failed those
	// that were answered with an error. OpenAI counts them while the batch is processed,
	// Anthropic when it has ended. 0: not known yet.
	Total, Done, Failed int
	Reason              string // why the provider refused all of the batch; empty: it did not
}

// BatchResult is the result of one request of a batch.
type BatchResult struct {
	ID string
	// Status is 200 if Body is the answer, and the status of the error in Body otherwise.
	// If Expired is set, it is 0.
	Status int
	Body   []byte
	// Expired says that the request was not processed, because the batch expired or was
	// cancelled before. It is not billed.
	Expired bool
}

// MaxBatchID is the length of the longest [BatchItem.ID]. Anthropic allows 64 characters,
// of which some are used to recognize the batch.
const MaxBatchID = 64 - batchMarkLength - 1

// BatchLimit is how large a provider's batches may be.
type BatchLimit struct {
	Requests int
	Bytes    int
	// PerRequest is an upper bound of the bytes that a request takes beside its body.
	PerRequest int
}

// BatchLimit returns the limits of the provider's batches, as documented by OpenAI and
// Anthropic. Of other providers with OpenAI's API, the limits may be lower.
func (u *Upstream) BatchLimit() BatchLimit {
	if u.Kind == Anthropic {
		return BatchLimit{100_000, 256_000_000, 128}
	}
	return BatchLimit{50_000, 200_000_000, 192}
}

// ErrBatchUnclear is wrapped by errors that leave open whether the provider has a batch.
// After SubmitBatch, FindBatch may tell; after FindBatch, FindBatch may tell later.
var ErrBatchUnclear = errors.New("it is not certain whether the provider has the batch")

// batchMetadata is the name of the metadata in which OpenAI keeps the key of a batch.
const batchMetadata = "carrot_batch"

// maxBatchKey is the length of the longest key, which is that of OpenAI's metadata.
const maxBatchKey = 512

// batchMarkLength is the length of what [batchMark] returns.
const batchMarkLength = 16

// batchMark returns a text that stands for the key of a batch. All custom_ids of the
// batch begin with it.
func batchMark(key string) string {
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:batchMarkLength*3/4])
}

// customID returns the custom_id of an item.
func customID(key, id string) string { return batchMark(key) + "-" + id }

// splitCustomID returns the batch's mark and the item's ID.
func splitCustomID(id string) (mark, item string, ok bool) {
	if len(id) < batchMarkLength+2 || id[batchMarkLength] != '-' {
		return "", "", false
	}
	return id[:batchMarkLength], id[batchMarkLength+1:], true
}

// SubmitBatch submits a batch and returns the provider's id of it. key is the caller's own
// unique name of the batch, of at most 512 characters, by which [Upstream.FindBatch] finds
// it: the caller must write it down before, because the program may end between the
// submission and its answer.
//
// A batch lives in the account of one API key, which is the first one of Keys. Calls of
// which it is certain that the provider did not accept the batch are repeated. If that is
// not certain, they are not, and the error wraps [ErrBatchUnclear]. Other errors mean that
// there is no batch.
func (u *Upstream) SubmitBatch(ctx context.Context, key string, items []BatchItem) (id string, err error) {
	if err := u.checkBatch(key, items); err != nil {
		return "", fmt.Errorf("submit a batch to %s: %w", u.Name, err)
	}
	if u.Kind == Anthropic {
		id, err = u.submitMessages(ctx, key, items)
	} else {
		id, err = u.submitFile(ctx, key, items)
	}
	if err != nil {
		return "", fmt.Errorf("submit a batch to %s: %w", u.Name, err)
	}
	return id, nil
}

// FindBatch returns the provider's id of the batch that was submitted under a key since a
// time, and whether there is one. It never returns another batch.
//
// OpenAI keeps the key with the batch; if a provider with its API does not, the batch is
// recognized by the name of its file. Anthropic does not, so there the key is recognized
// by the results of batches that have ended. While any batch of the account that was made
// since has not ended, it could be the one: if no other is, the error wraps
// [ErrBatchUnclear], and the caller should ask again later.
//
// If there is no such batch, FindBatch looks again after a moment, because a submission may
// take a while to be seen.
func (u *Upstream) FindBatch(ctx context.Context, key string, since time.Time) (id string, found bool, err error) {
	find := u.findFile
	if u.Kind == Anthropic {
		find = u.findMessages
	}
	if err = u.hasBatches(); err == nil {
		id, err = find(ctx, key, since.Add(-batchClockSkew))
	}
	if err == nil && id == "" {
		// A provider that is still taking the batch in may not list it yet.
		if err = sleep(ctx, batchSettles*u.batchRetry().Backoff); err == nil {
			id, err = find(ctx, key, since.Add(-batchClockSkew))
		}
	}
	if err != nil {
		return "", false, fmt.Errorf("find a batch of %s: %w", u.Name, err)
	}
	return id, id != "", nil
}

// batchSettles is the wait before a batch that was not found is looked for again, in waits
// before a first retry.
const batchSettles = 4

// batchClockSkew is how much later the provider's clock may be behind ours.
const batchClockSkew = 5 * time.Minute

// Batch returns the state of a batch.
func (u *Upstream) Batch(ctx context.Context, id string) (BatchState, error) {
	state, err := u.batchState(ctx, id)
	if err != nil {
		return BatchState{}, fmt.Errorf("ask %s for batch %s: %w", u.Name, id, err)
	}
	return state, nil
}

func (u *Upstream) batchState(ctx context.Context, id string) (BatchState, error) {
	if err := u.hasBatches(); err != nil {
		return BatchState{}, err
	}
	if u.Kind == Anthropic {
		b, err := u.getMessages(ctx, id)
		return b.state(), err
	}
	b, err := u.getBatch(ctx, id)
	state := b.state()
	state.Reason = u.clean(state.Reason)
	return state, err
}

// BatchResults calls each with the results of a batch that has ended, in the order in which
// the provider has them. Results arrive while each is called. If a download breaks, it is
// repeated. Each result is passed on once, even if the provider has it several times; a
// request may have none. If each returns an error, BatchResults ends and returns it.
func (u *Upstream) BatchResults(ctx context.Context, id string, each func(BatchResult) error) error {
	err := u.hasBatches()
	seen := &batchResults{each: each, seen: map[string]bool{}}
	switch {
	case err != nil:
	case u.Kind == Anthropic:
		err = u.messagesResults(ctx, id, seen)
	default:
		err = u.fileResults(ctx, id, seen)
	}
	if err != nil {
		return fmt.Errorf("read the results of %s's batch %s: %w", u.Name, id, err)
	}
	return nil
}

// CancelBatch asks the provider to cancel a batch. Requests that were answered before are
// billed, and have results when the batch has ended. It is no error if it has ended already.
func (u *Upstream) CancelBatch(ctx context.Context, id string) error {
	err := u.hasBatches()
	if err == nil {
		var refused *Error
		_, err = u.batchCalls(ctx, http.MethodPost, u.batchPath(id)+"/cancel", nil, "", nil, func(e *Error, _ bool) *Error {
			if e.Kind == Invalid || e.Status == http.StatusConflict {
				refused = e
				return nil
			}
			return e
		})
		if refused != nil {
			if state, later := u.batchState(ctx, id); later == nil && state.Ended {
				return nil
			}
			err = refused
		}
	}
	if err != nil {
		return fmt.Errorf("cancel %s's batch %s: %w", u.Name, id, err)
	}
	return nil
}

// ResultError returns the error of a result, classified like that of a call, or nil if the
// request was answered.
func (u *Upstream) ResultError(r BatchResult) *Error {
	switch {
	case r.Expired:
		return &Error{Kind: Server, Code: "batch_expired", Message: "the batch ended before the request was processed", Said: true}
	case r.Status == http.StatusOK:
		return nil
	}
	return u.refusal(&http.Response{StatusCode: r.Status, Header: http.Header{}}, r.Body)
}

// hasBatches returns an error if the client knows no batches of the provider.
func (u *Upstream) hasBatches() error {
	if u.Kind == Azure {
		return errors.New("batches of Azure are not supported: use a provider of the kind openai or anthropic, or no batches")
	}
	return nil
}

// checkBatch checks what the provider would refuse.
func (u *Upstream) checkBatch(key string, items []BatchItem) error {
	limit := u.BatchLimit()
	switch {
	case u.hasBatches() != nil:
		return u.hasBatches()
	case key == "" || len(key) > maxBatchKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }):
		return fmt.Errorf("the key %q: want 1 to %d printable ASCII characters", key, maxBatchKey)
	case len(items) == 0:
		return errors.New("the batch has no requests")
	case len(items) > limit.Requests:
		return fmt.Errorf("the batch has %d requests, but at most %d are allowed: split it", len(items), limit.Requests)
	}
	size := len(items) * limit.PerRequest
	for i := range items {
		if size += len(items[i].Body); size > limit.Bytes {
			return fmt.Errorf("the batch has more than %d MB: split it", limit.Bytes/1_000_000)
		}
	}
	seen, first := make(map[string]bool, len(items)), ""
	for i := range items {
		item := &items[i]
		model, err := item.check(u)
		switch {
		case err != nil:
		case seen[item.ID]:
			err = errors.New("the ID is not unique")
		case item.API != items[0].API:
			err = fmt.Errorf("the API is %s, but that of the first request is %s: submit one batch for each API", item.API, items[0].API)
		case i > 0 && model != first:
			err = fmt.Errorf("the model is %q, but that of the first request is %q: submit one batch for each model", model, first)
		}
		if err != nil {
			return fmt.Errorf("request %.100q: %w", item.ID, err)
		}
		seen[item.ID], first = true, model
	}
	return nil
}

// check checks an item and returns its model.
func (item *BatchItem) check(u *Upstream) (model string, err error) {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
	}
	if n := len(item.ID); n == 0 || n > MaxBatchID || strings.ContainsFunc(item.ID, func(r rune) bool { return !plain(r) }) {
		return "", fmt.Errorf("the ID must have 1 to %d of the characters a-z, A-Z, 0-9, _ and -", MaxBatchID)
	}
	if (u.Kind == Anthropic) != (item.API == wire.Messages) || item.API != wire.Messages && item.API != wire.Chat && item.API != wire.Responses {
		return "", fmt.Errorf("batches of this provider have no requests of the API %s", item.API)
	}
	var body struct {
		Model  string `json:"model"`
		Stream bool   `json:"stream"`
	}
	if err := json.Unmarshal(item.Body, &body); err != nil {
		return "", errors.New("the body is not a request in JSON")
	}
	if body.Stream {
		return "", errors.New("a request of a batch cannot be streamed: leave out stream")
	}
	return body.Model, nil
}
