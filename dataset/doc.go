// Package dataset reads, writes, checks, joins and describes outcomes: the score
// of every model on every query, with the tokens it used.
//
// A data folder holds
//
//	queries.jsonl[.gz]   one JSON object a line: id, split, source, prompt
//	outcomes.csv[.gz]    id,model,score,input_tokens,output_tokens and, in any
//	                     order after these, cost_usd, cached_tokens, reasoning_tokens
//	models.json          name, USD per million tokens, pool
//	answers.csv[.gz]     optional: id,model,answer, a short hash of the final answer
//
// A score is in [0,1]. An empty field or a missing row means not observed, which
// is never zero: a [Set] holds it as NaN. An outcome with neither tokens nor cost
// has a score and no cost.
//
// [Load] reads a folder, [Set.WriteDir] writes one, [Check] lists everything that
// is wrong with one, [Set.Describe] and [Set.Coverage] say what is in it, and
// [Join] merges several:
//
//	set, err := dataset.Load(ctx, "testdata/tiny")
//	if err != nil {
//		return err // such as "outcomes.csv:17: field score: 1.2 is outside [0,1]"
//	}
//	c := set.Coverage()
//	fmt.Printf("%s: %d models, %d of %d queries complete\n", set.Name, len(set.Models), c.Complete, c.Queries)
//
// Bad input gives a [FormatError], which names file, line and field and says what
// to do. A Set holds everything in memory; for files that are too large for that
// there are [ReadQueries], [ReadOutcomes], [ReadAnswers] and [Writer]. To price
// tokens when requests are served, use package price.
package dataset
