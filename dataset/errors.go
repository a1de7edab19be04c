package dataset

import (
	"errors"

	"github.com/carrot-router/carrot/internal/textfile"
)

// FormatError says what is wrong in which file, line and field of a data
// folder, and in Hint what to do about it.
type FormatError struct {
	File   string // the file's name as it was opened; "" when the value was not read from a file
	Line   int    // counted from 1; of Parquet the row; 0 when no line is at fault
	Field  string // the column or JSON field; "" when the whole line is at fault
	Reason string // what is wrong, with the offending value
	Hint   string // what to do; may be empty
	Err    error  // the cause, if there is one
}

// Error returns the message without the hint:
// "outcomes.csv.gz:17: field score: 1.2 is outside [0,1]".
func (e *FormatError) Error() string { return (*textfile.Error)(e).Error() }

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// formatError returns err as a [FormatError] if it is about the text of a file.
func formatError(err error) error {
	if bad, ok := errors.AsType[*textfile.Error](err); ok {
		return (*FormatError)(bad)
	}
	return err
}

// reporter is called with every fault. It returns nil to go on without the
// faulty row, or the error to stop with.
type reporter func(*FormatError) error

// text is a reporter of faults in the text of a file.
func (r reporter) text(e *textfile.Error) error { return r((*FormatError)(e)) }

// stopAtFirst is a reporter that stops at the first fault.
func stopAtFirst(e *FormatError) error { return e }
