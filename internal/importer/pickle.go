package importer

import (
	"context"
	"errors"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/pickle"
)

// scanPickle calls fn with every row of a DataFrame that pandas 1 or 2 pickled,
// counted from 1, its values as text; r is valid until fn returns. None, NA and
// NaN are not present, and True is 1. Nothing in the pickle is run: see package
// pickle.
func scanPickle(ctx context.Context, path string, hooks scanHooks, fn func(row int64, r *record) error) error {
	f, size, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	t, err := pickle.Read(ctx, f, size)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return pickleFault(err, path, 0, "")
	}
	want, at, err := hooks.choose(path, t.Columns())
	if err != nil {
		return err
	}
	for i, column := range at {
		if err := t.CheckColumn(column); err != nil {
			return pickleFault(err, path, 0, want[i])
		}
	}
	r := newRecord(want)
	for row := range t.Rows() {
		if row%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if row%512 == 0 && hooks.progress != nil {
			hooks.progress(int64(row), int64(t.Rows()))
		}
		if bad := readPickleRow(t, row, at, path, r); bad != nil {
			err = hooks.badRow(bad)
		} else {
			err = fn(int64(row+1), r)
		}
		if err != nil {
			return err
		}
	}
	if hooks.progress != nil {
		hooks.progress(int64(t.Rows()), int64(t.Rows()))
	}
	return nil
}

// readPickleRow sets the values of r, which are in the columns at of t.
func readPickleRow(t *pickle.Frame, row int, at []int, path string, r *record) *dataset.FormatError {
	for i, column := range at {
		var err error
		if r.values[i], r.present[i], err = t.Value(row, column); err != nil {
			return pickleFault(err, path, row+1, r.columns[i])
		}
	}
	return nil
}

// pickleFault returns an error of package pickle as one about a row and column.
func pickleFault(err error, path string, row int, column string) *dataset.FormatError {
	e := &dataset.FormatError{File: path, Line: row, Field: column, Reason: err.Error(), Err: err}
	if bad, ok := errors.AsType[*pickle.Error](err); ok {
		e.Hint = bad.Hint
	}
	return e
}
