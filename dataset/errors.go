package dataset

import (
	"fmt"
	"strings"
)

// FormatError says what is wrong in which file, line and field of a data
// folder, and in Hint what to do about it.
type FormatError struct {
	File   string // the file's name as it was opened
	Line   int    // counted from 1; of Parquet the row; 0 when no line is at fault
	Field  string // the column or JSON field; "" when the whole line is at fault
	Reason string // what is wrong, with the offending value
	Hint   string // what to do; may be empty
	Err    error  // the cause, if there is one
}

// Error returns the message without the hint:
// "outcomes.csv.gz:17: field score: 1.2 is outside [0,1]".
func (e *FormatError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Field != "" {
		fmt.Fprintf(&b, "field %s: ", e.Field)
	}
	b.WriteString(e.Reason)
	return b.String()
}

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// reporter is told of every fault in a row. It returns nil to leave the row
// out and go on, or the error to stop with.
type reporter func(*FormatError) error

// stopAtFirst is the reporter of everything but Check.
func stopAtFirst(e *FormatError) error { return e }

// quote shortens a value for an error message: prompts never appear whole.
func quote[T string | []byte](v T) string {
	const most = 40
	if len(v) > most {
		return fmt.Sprintf("%.*q...", most, string(v[:most]))
	}
	return fmt.Sprintf("%q", string(v))
}
