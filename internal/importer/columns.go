package importer

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// ReadColumns reads a mapping for [Options.Columns] from YAML: the fields of the
// common form with the names of their columns. For a table with columns for each
// model, the value of a field is a mapping from models to columns.
//
//	prompt: question
//	score:
//	  gpt-4: gpt4_correct
//
// name is the file's name in errors.
func ReadColumns(r io.Reader, name string) (map[string]string, error) {
	const most = 1 << 20
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > most {
		return nil, &dataset.FormatError{File: name, Reason: "is longer than 1 MiB", Hint: hintColumns}
	}
	var tree map[string]any
	if err := yaml.UnmarshalWithOptions(data, &tree, yaml.Strict()); err != nil {
		return nil, &dataset.FormatError{File: name, Reason: fmt.Sprintf("is not a YAML mapping: %s", yaml.FormatError(err, false, false)), Hint: hintColumns, Err: err}
	}
	columns := make(map[string]string)
	for _, field := range slices.Sorted(maps.Keys(tree)) {
		models, wide := tree[field].(map[string]any)
		if !wide {
			models = map[string]any{"": tree[field]}
		}
		for _, model := range slices.Sorted(maps.Keys(models)) {
			target := strings.TrimSuffix(field+":"+model, ":")
			column, ok := models[model].(string)
			if !ok || column == "" {
				return nil, &dataset.FormatError{File: name, Field: target, Reason: "is not the name of a column", Hint: hintColumns}
			}
			columns[target] = column
		}
	}
	if err := checkTargets(columns); err != nil {
		return nil, err
	}
	return columns, nil
}

const hintColumns = "write FIELD: COLUMN, or FIELD: with lines MODEL: COLUMN below it"

// checkTargets refuses names that are not fields of the common form.
func checkTargets(columns map[string]string) error {
	for _, target := range slices.Sorted(maps.Keys(columns)) {
		field, model, wide := strings.Cut(target, ":")
		isOutcome := slices.Contains(outcomeFields, field)
		if wide && (!isOutcome || model == "") || !isOutcome && field != "model" && !slices.Contains(queryFields, field) {
			return fmt.Errorf("map columns: unknown field %s: want one of %s or, for the columns of one model, such as score:MODEL, one of %s", textfile.Quote(target),
				strings.Join(slices.Concat(queryFields, []string{"model"}, outcomeFields), ", "), strings.Join(outcomeFields, ", "))
		}
		if stars := strings.Count(columns[target], "*"); model == anyModel && stars != 1 {
			return fmt.Errorf("map columns: %s=%s has %d times *: want it once, where the model's name is, as in %[1]s=correct_*", target, textfile.Quote(columns[target]), stars)
		}
	}
	return nil
}
