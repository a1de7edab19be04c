package ledger

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/database"
	"github.com/carrot-router/carrot/record"
)

// Erased is the client's name of attempts whose client was erased.
const Erased = "erased"

// salt returns the key of the hashes of end users, which the first call makes.
func (s *Store) salt(ctx context.Context) (salt []byte, err error) {
	fresh := make([]byte, 16)
	rand.Read(fresh)
	err = s.db.Do(ctx, func(tx *database.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO salts (name, data) VALUES ('end_user', ?) ON CONFLICT (name) DO NOTHING", fresh); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT data FROM salts WHERE name = 'end_user'").Scan(&salt)
	})
	if err != nil {
		return nil, fmt.Errorf("the key of the hashes of end users: %w", err)
	}
	return salt, nil
}

// userHash returns the hash by which a store knows an end user: 128 bits of HMAC-SHA256.
func userHash(salt []byte, id string) string {
	h := hmac.New(sha256.New, salt)
	h.Write([]byte(id))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// Whose are attempts to be erased: those of a client or those of an end user.
type Whose struct{ Client, User string }

// where returns the condition for the attempts.
func (w Whose) where(ctx context.Context, s *Store) (string, any, error) {
	switch {
	case (w.Client == "") == (w.User == ""):
		return "", nil, errors.New("erase: want either a client or an end user")
	case w.Client == Erased:
		return "", nil, fmt.Errorf("erase: %q is the name of what was erased", Erased)
	case w.Client != "":
		return "client = ?", bounded(w.Client), nil
	}
	salt, err := s.salt(ctx)
	return "end_user = ?", userHash(salt, w.User), err
}

// Count returns the number of attempts that Erase would erase, and of texts among them.
func (s *Store) Count(ctx context.Context, w Whose) (attempts, texts int64, err error) {
	where, arg, err := w.where(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	err = s.db.QueryRowContext(ctx, "SELECT COUNT(*), COUNT(attempt) FROM attempts LEFT JOIN contents ON attempt = id WHERE "+where, arg).Scan(&attempts, &texts)
	return attempts, texts, err
}

// blank leaves times, numbers, models and prices of an attempt.
const blank = `request = 'erased-' || CAST(id AS TEXT), session = '', end_user = '', answer = '', budgets = '', error_code = '', error = '', block = NULL, place = NULL`

// Erase deletes the texts of attempts, and what could tell whose they are: ids, sessions,
// labels, messages of errors, the link to the decision, feedback, and the client's name if the
// client is erased. Their numbers stay, so that sums do not change; those of a client are summed
// up with all erased clients. It returns what Count had returned.
func (s *Store) Erase(ctx context.Context, w Whose) (attempts, texts int64, err error) {
	where, arg, err := w.where(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	err = s.db.Do(ctx, func(tx *database.Tx) error {
		count := func(n *int64, statement string, args ...any) error {
			result, err := tx.ExecContext(ctx, statement, args...)
			if err != nil {
				return err
			}
			*n, err = result.RowsAffected()
			return err
		}
		if w.Client != "" && tx.Postgres() { // so that no gateway adds to a sum that is being moved
			if _, err := tx.ExecContext(ctx, "LOCK TABLE daily, forecasts IN SHARE ROW EXCLUSIVE MODE"); err != nil {
				return err
			}
		}
		if err := count(&texts, "DELETE FROM contents WHERE attempt IN (SELECT id FROM attempts WHERE "+where+")", arg); err != nil {
			return err
		}
		if err := eraseRest(ctx, tx, where, arg); err != nil {
			return err
		}
		said, saidArgs := "request IN (SELECT request FROM attempts WHERE "+where+")", []any{arg}
		if w.Client != "" {
			said, saidArgs = said+" OR client = ?", append(saidArgs, arg)
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM feedback WHERE "+said, saidArgs...); err != nil {
			return err
		}
		set := blank
		if w.Client != "" {
			set += ", client = '" + Erased + "'"
		}
		whole, args := "attempts = 0", []any{}
		if w.Client != "" { // also of attempts that are pruned
			whole, args = "client = ?", []any{bounded(w.Client)}
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM labelled WHERE "+whole, args...); err != nil {
			return err
		}
		if err := count(&attempts, "UPDATE attempts SET "+set+" WHERE "+where, arg); err != nil || w.Client == "" {
			return err
		}
		return renameClient(ctx, tx, w.Client)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("erase: %w", err)
	}
	return attempts, texts, s.db.Checkpoint(ctx)
}

// eraseRest leaves nothing in the column rest but the details of usage, which are billed, and
// takes the attempts off the sums of their labels.
func eraseRest(ctx context.Context, tx *database.Tx, where string, arg any) error {
	for last := int64(0); ; {
		rows, err := tx.QueryContext(ctx, selectAttempts+"WHERE "+where+" AND rest IS NOT NULL AND id > ? ORDER BY id LIMIT ?", arg, last, pageRows)
		if err != nil {
			return err
		}
		type row struct {
			id   int64
			rest any
		}
		var page []row
		labels := days{}
		for rows.Next() {
			found, err := scan(rows)
			if err != nil {
				rows.Close()
				return err
			}
			a := &found.attempt
			last = found.id
			for _, key := range keysOf(a)[1:] {
				labels.of(key).add(a)
			}
			one := row{id: last}
			if left := restOf(&record.Attempt{Usage: carrot.Usage{Details: a.Usage.Details}}); left != nil {
				one.rest = string(left)
			}
			page = append(page, one)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(page) == 0 {
			return err
		}
		for key, sums := range labels {
			labels[key] = sums.minus()
		}
		if err := labels.write(ctx, tx); err != nil {
			return err
		}
		for _, one := range page {
			if _, err := tx.ExecContext(ctx, "UPDATE attempts SET rest = ? WHERE id = ?", one.rest, one.id); err != nil {
				return err
			}
		}
	}
}

// renameClient adds the sums of a client to those of erased clients.
func renameClient(ctx context.Context, tx *database.Tx, client string) error {
	client = bounded(client)
	for _, sums := range []struct{ table, columns, add string }{
		{"daily", dayColumns, addDay},
		{"forecasts", "day, client, policy, standby, model, " + strings.Join(forecastSumColumns, ", "), addForecast},
	} {
		_, update, _ := strings.Cut(sums.add, "ON CONFLICT")
		from := strings.Replace(sums.columns, "client", "'"+Erased+"'", 1)
		if _, err := tx.ExecContext(ctx, "INSERT INTO "+sums.table+" ("+sums.columns+") SELECT "+from+" FROM "+sums.table+" WHERE client = ? ON CONFLICT"+update, client); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+sums.table+" WHERE client = ?", client); err != nil {
			return err
		}
	}
	return nil
}
