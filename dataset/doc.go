// Package dataset reads, writes, checks, joins and describes outcomes: what
// every model scored on every query, with the tokens it used.
//
// A data folder holds
//
//	queries.jsonl[.gz]   one JSON object a line: id, split, source, prompt
//	outcomes.csv[.gz]    id,model,score,input_tokens,output_tokens and, in any
//	                     order after these, cost_usd, cached_tokens, reasoning_tokens
//	models.json          name, USD per million tokens, pool
//	answers.csv[.gz]     optional: id,model,answer, a short hash of the final answer
//
// A score lies in [0,1]. An empty field or a missing row means not observed,
// which is never zero: a [Set] holds it as NaN. An outcome with neither tokens
// nor cost has a quality and no cost.
//
// [Load] reads a folder, [Set.WriteDir] writes one, [Check] lists everything
// that is wrong with one, [Set.Describe] says what is in it, [Join] merges
// several, and [Import] makes one of what others publish, of logs or of any table:
//
//	set, err := dataset.Load(ctx, "data/mmlu-pro")
//	if err != nil {
//		return err // "data/mmlu-pro/outcomes.csv.gz:17: field score: 1.2 is outside [0,1]"
//	}
//	fmt.Println(set.Describe())
//
// Bad input gives a [FormatError], which names file, line and field and says
// what to do. The package keeps a whole set in memory; for files that do not
// fit use the streaming [ReadQueries], [ReadOutcomes], [ReadAnswers] and
// [Writer]. It does not price tokens at request time: that is package price.
package dataset
