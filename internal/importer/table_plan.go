package importer

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

// tablePlan says which columns of a table hold what.
type tablePlan struct {
	fields map[string]string // columns by field of the query, in a long table also by "model"
	models []tableModel      // in a long table one without a name
	found  map[string]string // the columns of fields that have neither been mapped nor have the field's name
}

// tableModel says which columns hold the outcomes of a model. A long table has
// one row for each query and model, a wide table columns for each model.
type tableModel struct {
	name    string
	columns map[string]string // by outcome field
}

// ambiguity is a field that several columns may hold.
type ambiguity struct {
	field   string
	columns []string
}

// aliases are common names of columns, by the field that they hold and in the form
// of [foldColumn]. An alias must leave no doubt about what the column holds and in
// which unit.
var aliases = map[string][]string{
	"id":                  {"query_id", "prompt_id", "question_id"},
	"prompt":              {"question", "query", "instruction", "input", "messages"},
	"source":              {"dataset", "benchmark"},
	"model":               {"model_name", "model_id", "llm"},
	fieldScore:            {"correct", "is_correct", "accuracy"},
	fieldInputTokens:      {"prompt_tokens", "num_input_tokens", "usage.prompt_tokens", "usage.input_tokens"},
	fieldOutputTokens:     {"completion_tokens", "num_output_tokens", "usage.completion_tokens", "usage.output_tokens"},
	dataset.ColumnCostUSD: {"total_cost_usd", "usd"},
	dataset.ColumnCachedTokens: {"cached_input_tokens", "cache_read_input_tokens", "prompt_tokens_details.cached_tokens", "usage.prompt_tokens_details.cached_tokens",
		"usage.input_tokens_details.cached_tokens", "usage.cache_read_input_tokens"},
	dataset.ColumnReasoningTokens: {"completion_tokens_details.reasoning_tokens", "usage.completion_tokens_details.reasoning_tokens", "usage.output_tokens_details.reasoning_tokens"},
}

// foldColumn returns a column's name in the form in which names are compared: people
// write "Prompt Tokens" for prompt_tokens.
func foldColumn(name string) string {
	return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(name)))
}

// newTablePlan plans how to read a table with the given columns. A field is in the
// column that it is mapped to or, if it is not mapped, in that of its own name or, if
// there is none, of one of its aliases. If several may hold it, ambiguous says which.
func newTablePlan(all []string, mapping map[string]string, wide bool) (p *tablePlan, ambiguous *ambiguity) {
	p = &tablePlan{fields: make(map[string]string), found: make(map[string]string)}
	taken := make(map[string]bool)
	for _, column := range mapping {
		taken[column] = true
	}
	folded := make(map[string][]string, len(all))
	for _, column := range all {
		if name := foldColumn(column); !taken[column] && !slices.Contains(folded[name], column) {
			folded[name] = append(folded[name], column)
		}
	}
	locate := func(field string) string {
		if column := mapping[field]; column != "" || slices.Contains(all, field) && !taken[field] {
			return cmp.Or(column, field)
		}
		columns := folded[field]
		if len(columns) == 0 {
			for _, alias := range aliases[field] {
				columns = append(columns, folded[alias]...)
			}
		}
		switch {
		case len(columns) == 0:
			return field // which is missing
		case len(columns) > 1 && ambiguous == nil:
			ambiguous = &ambiguity{field, columns}
		}
		p.found[field] = columns[0]
		return columns[0]
	}
	for _, field := range queryFields {
		p.fields[field] = locate(field)
	}
	if !wide {
		p.fields["model"] = locate("model")
		long := tableModel{columns: make(map[string]string)}
		for _, field := range outcomeFields {
			long.columns[field] = locate(field)
		}
		p.models = []tableModel{long}
		return p, ambiguous
	}
	p.addModels(all, mapping)
	return p, ambiguous
}

// addModels adds the models of a wide table: those that the mapping names and those
// that its wildcards find, in the order of their names and of their columns. A column
// that is mapped by its own name, or holds a field of the query, is no wildcard's.
func (p *tablePlan) addModels(all []string, mapping map[string]string) {
	places := make(map[string]int)
	add := func(field, model, column string) {
		at, known := places[model]
		if !known {
			at, p.models = len(p.models), append(p.models, tableModel{model, make(map[string]string)})
			places[model] = at
		}
		if p.models[at].columns[field] == "" {
			p.models[at].columns[field] = column
		}
	}
	taken := make(map[string]bool)
	for _, column := range p.fields {
		taken[column] = true
	}
	targets := slices.Sorted(maps.Keys(mapping))
	for _, target := range targets {
		if field, model, wide := strings.Cut(target, ":"); wide && model != anyModel {
			add(field, model, mapping[target])
			taken[mapping[target]] = true
		}
	}
	for _, target := range targets {
		field, ok := strings.CutSuffix(target, ":"+anyModel)
		if !ok {
			continue
		}
		for _, column := range all {
			if model, ok := matchWildcard(mapping[target], column); ok && !taken[column] {
				add(field, model, column)
			}
		}
	}
}

// anyModel stands for every model in the target of a wildcard, as in score:*.
const anyModel = "*"

// matchWildcard returns what the only * in a pattern stands for in a name.
func matchWildcard(pattern, name string) (star string, ok bool) {
	prefix, suffix, _ := strings.Cut(pattern, "*")
	if len(name) <= len(prefix)+len(suffix) || !strings.HasPrefix(name, prefix) || !strings.HasSuffix(name, suffix) {
		return "", false
	}
	return name[len(prefix) : len(name)-len(suffix)], true
}

// columns lists the columns that the plan reads, of which some may be missing.
func (p *tablePlan) columns() []string {
	var columns []string
	seen := make(map[string]bool)
	use := func(column string) {
		if column != "" && !seen[column] {
			seen[column] = true
			columns = append(columns, column)
		}
	}
	for _, field := range append(slices.Clone(queryFields), "model") {
		use(p.fields[field])
	}
	for _, m := range p.models {
		for _, field := range outcomeFields {
			use(m.columns[field])
		}
	}
	return columns
}

// missing lists the targets whose columns are not among all: those of the mapping,
// the prompt, in a long table the model, and the score if there is no outcome at all.
func (p *tablePlan) missing(all []string, mapping map[string]string) []string {
	has := make(map[string]bool, len(all))
	for _, column := range all {
		has[column] = true
	}
	var targets []string
	lacks := func(target string) {
		if !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	for _, field := range []string{"prompt", "model"} {
		if column := p.fields[field]; column != "" && !has[column] {
			lacks(field)
		}
	}
	for _, target := range slices.Sorted(maps.Keys(mapping)) {
		switch pattern := mapping[target]; {
		case !strings.HasSuffix(target, ":"+anyModel):
			if !has[pattern] {
				lacks(target)
			}
		case !slices.ContainsFunc(all, func(column string) bool { _, ok := matchWildcard(pattern, column); return ok }):
			lacks(target)
		}
	}
	observed := slices.ContainsFunc(p.models, func(m tableModel) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(m.columns)), func(column string) bool { return has[column] })
	})
	mapped := slices.ContainsFunc(targets, func(target string) bool {
		field, _, _ := strings.Cut(target, ":")
		return slices.Contains(outcomeFields, field)
	})
	if !observed && !mapped {
		lacks(fieldScore)
	}
	return targets
}
