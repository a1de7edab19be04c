package dataset

import (
	"context"
	"errors"
)

// Problem is one thing that is wrong with a data folder.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`  // 0 if no line is at fault
	Field  string `json:"field,omitempty"` // "" if the whole line is at fault
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"`
}

// String returns the problem as [FormatError.Error] words it, without the hint.
func (p Problem) String() string {
	return (&FormatError{File: p.File, Line: p.Line, Field: p.Field, Reason: p.Reason}).Error()
}

// errEnough stops reading at the limit.
var errEnough = errors.New("enough")

// Check reads the data folder dir as [Load] does and returns everything that is
// wrong with it, at most limit problems (all if limit < 1), in the order of
// models.json, queries, outcomes and answers. If there are none, Load accepts the
// folder. If some models or queries are bad, outcomes with unknown names are not
// problems, as they may be about those. The error is not about the data: it is
// that of ctx, once ctx is done.
func Check(ctx context.Context, dir string, limit int) ([]Problem, error) {
	var problems []Problem
	l := newLoader(dir, func(e *FormatError) error {
		problems = append(problems, Problem{File: e.File, Line: e.Line, Field: e.Field, Reason: e.Reason, Hint: e.Hint})
		if len(problems) == limit {
			return errEnough
		}
		return nil
	})
	if err := l.load(ctx); err != nil && !errors.Is(err, errEnough) {
		return problems, err
	}
	return problems, nil
}
