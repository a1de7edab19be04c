package importer

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot/dataset"
	logged "github.com/carrot-router/carrot/record"
)

// Feedback reads feedback on requests from a file: CSV if its name ends in .csv, and else
// JSON lines or a list in JSON, either of them plain or gzipped. A row has the columns
// request_id, one of score, thumb, label and success, and optionally time, as in RFC 3339,
// and note; other columns are left alone. A row without a time has that of the file's last
// change, so that the same file says the same if it is read again. labels are the scores of
// labels. each returns what is wrong with the row's request, or "". A bad row is a
// *[dataset.FormatError], which goes to bad: it returns nil to go on.
func Feedback(ctx context.Context, path string, labels map[string]float64, bad func(*dataset.FormatError) error, each func(f *logged.Feedback) (fault string, err error)) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	row := func(row int64, r *record) error {
		f := logged.Feedback{Time: info.ModTime().UTC()}
		refuse := func(field, reason string) error {
			return bad(&dataset.FormatError{File: path, Line: int(row), Field: field, Reason: reason, Hint: hintRow})
		}
		if f.RequestID, _ = r.get("request_id"); f.RequestID == "" {
			return refuse("request_id", "is missing or empty")
		}
		said := ""
		for _, kind := range feedbackKinds {
			value, ok := r.get(kind)
			if !ok {
				continue
			}
			if said != "" {
				return refuse(kind, "is given, and so is "+said+": want one of them")
			}
			if said = kind; kind == "thumb" || kind == "success" {
				value = strings.ToLower(value)
			}
			if err := f.Set(kind, value, labels); err != nil {
				return refuse(kind, err.Error())
			}
		}
		if said == "" {
			return refuse("score", "is missing, and so are thumb, label and success")
		}
		if text, ok := r.get("time"); ok {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return refuse("time", "want a time such as 2026-11-29T08:00:00Z")
			}
			f.Time = at.UTC()
		}
		f.Note, _ = r.get("note")
		fault, err := each(&f)
		if err == nil && fault != "" {
			err = refuse("request_id", fault)
		}
		return err
	}
	hooks := scanHooks{bad: bad, columns: func(all []string) ([]string, error) {
		if !slices.Contains(all, "request_id") {
			return nil, &dataset.FormatError{File: path, Field: "request_id", Reason: "the column is missing", Hint: "the first line names the columns: request_id, one of score, thumb, label and success, and optionally time and note"}
		}
		return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(feedbackColumns, name) }), nil
	}}
	if hasEnding(path, ".csv") {
		return scanCSV(ctx, path, hooks, row)
	}
	return scanJSONL(ctx, path, hooks, row)
}

var (
	feedbackKinds   = []string{"score", "thumb", "label", "success"}
	feedbackColumns = append([]string{"request_id", "time", "note"}, feedbackKinds...)
)
