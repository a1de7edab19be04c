package budget

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database"
)

// warnAt are the shares of a budget of which the webhook is told, in percent.
var warnAt = []int64{80, 100}

// notice is a message of the webhook, in the form of Standard Webhooks.
type notice struct {
	Type string    `json:"type"`
	Time time.Time `json:"timestamp"`
	Data Figures   `json:"data"`
}

// keepNotices is how long messages that were sent are kept.
const keepNotices = 30 * 24 * time.Hour

// cross stores messages about the shares of a budget that were passed by an amount.
func (b *Budgets) cross(ctx context.Context, tx *database.Tx, key string, s state, spent int64) error {
	for _, percent := range warnAt {
		share := s.amount/100*percent + s.amount%100*percent/100
		if s.amount <= 0 || s.spent < share || s.spent-spent >= share {
			continue
		}
		if err := b.tell(ctx, tx, key, s, percent); err != nil {
			return err
		}
	}
	return nil
}

// exceeded stores the message that calls are refused, because too little of a budget is left
// for them, unless it is there.
func (b *Budgets) exceeded(ctx context.Context, w *window) error {
	w.mu.Lock()
	s := w.state
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return b.tell(ctx, b.db, w.key, s, 100)
}

// tell stores the message that a share of a budget is spent, once for each period and amount.
func (b *Budgets) tell(ctx context.Context, db database.Querier, key string, s state, percent int64) error {
	n := notice{Type: "budget.warning", Time: b.now().UTC(), Data: Figures{Amount: carrot.USD(s.amount), Spent: carrot.USD(s.spent), Unknown: carrot.USD(s.unknown), Held: carrot.USD(s.held), Left: carrot.USD(s.left())}}
	n.Data.Name, n.Data.Began, _ = strings.Cut(key, "@")
	b.mu.Lock()
	w := b.windows[key]
	b.mu.Unlock()
	if w != nil {
		_, n.Data.Ends = w.span()
		n.Data.Soft = w.rule().soft
	}
	if percent >= 100 {
		n.Type = "budget.exceeded"
	}
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", key, s.amount, percent))
	now := b.now().UnixNano()
	_, err = db.ExecContext(ctx, "INSERT INTO notices (id, time, data, next, tries) VALUES (?, ?, ?, ?, 0) ON CONFLICT (id) DO NOTHING",
		"msg_"+base64.RawURLEncoding.EncodeToString(sum[:18]), now, string(data), now)
	return err
}

// Webhook is where messages are sent.
type Webhook struct {
	URL    string
	Secret string // whsec_ and base64; checked by gateway.ParseFile
}

// hooks calls webhooks. It follows no redirect: a message that is posted would become a GET
// without a body, and the answer to that would count as its delivery.
var hooks = &http.Client{
	Timeout:       10 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// notify sends messages to the webhook until ctx is done. A message that cannot be sent is
// tried again, later each time, for a day.
func (b *Budgets) notify(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := b.send(ctx); err != nil && ctx.Err() == nil {
			b.log.Warn("a message could not be sent to the webhook", "error", err)
		}
	}
}

// maxTries is how often a message is tried: the waits double from five seconds and add up
// to about a day.
const maxTries = 15

// send sends the messages that are due.
func (b *Budgets) send(ctx context.Context) error {
	for {
		var id, data string
		var tries int64
		now := b.now()
		found := false
		err := b.db.Do(ctx, func(tx *database.Tx) error { // so that no other process sends it now
			found = false
			lock := ""
			if tx.Postgres() {
				lock = " FOR UPDATE SKIP LOCKED"
			}
			rows, err := tx.QueryContext(ctx, "SELECT id, data, tries FROM notices WHERE next > 0 AND next <= ? ORDER BY time, id LIMIT 1"+lock, now.UnixNano())
			if err != nil {
				return err
			}
			defer rows.Close()
			if !rows.Next() {
				return rows.Err()
			}
			if err := rows.Scan(&id, &data, &tries); err != nil {
				return err
			}
			found = true
			rows.Close()
			next := now.Add(5 * time.Second << min(tries, 13)).UnixNano()
			if tries+1 >= maxTries {
				next = 0
			}
			_, err = tx.ExecContext(ctx, "UPDATE notices SET next = ?, tries = tries + 1 WHERE id = ?", next, id)
			return err
		})
		if err != nil || !found {
			return err
		}
		if err := b.webhook.post(ctx, id, data, now); err != nil {
			return err
		}
		if _, err := b.db.ExecContext(ctx, "UPDATE notices SET next = 0 WHERE id = ?", id); err != nil {
			return err
		}
	}
}

// post sends a message. Its signature is that of Standard Webhooks: HMAC-SHA256 over its id,
// time and text.
func (h *Webhook) post(ctx context.Context, id, data string, now time.Time) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(h.Secret, "whsec_"))
	if err != nil {
		return fmt.Errorf("the secret of the webhook: %w", err)
	}
	at := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, data)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader([]byte(data)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	answer, err := hooks.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok { // its text has the address, which may be a secret
			err = e.Err
		}
		return fmt.Errorf("call the webhook: %w", err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<16)) // so that the connection can be used again
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook answered %s", answer.Status)
	}
	return nil
}
