package dataset

import "math"

// maxExamples is how many examples a description has of each finding.
const maxExamples = 5

// The kinds of suspicious rows. They are allowed, and often a sign that something
// went wrong when the data was collected.
const (
	SuspectNoOutput      = "outcomes with zero output tokens"
	SuspectEmptyAnswer   = "outcomes with score 1 and no answer"
	SuspectAnswerSplit   = "answers with both score 0 and score 1 on one query"
	SuspectNoCost        = "outcomes with a score and neither tokens nor cost"
	SuspectNoOutputCount = "outcomes with a score and input tokens, but neither output tokens nor cost"
	SuspectTokenParts    = "outcomes with more cached or reasoning tokens than input or output tokens"
	SuspectStraddle      = "prompts in more than one split"
)

// SuspiciousGroup is one kind of suspicious rows. An example is "id model" for an
// outcome, and the ids for queries.
type SuspiciousGroup struct {
	Kind     string   `json:"kind"`
	Count    int      `json:"count"`
	Examples []string `json:"examples"` // at most five
}

func (g *SuspiciousGroup) add(example string) {
	g.Count++
	if len(g.Examples) < maxExamples {
		g.Examples = append(g.Examples, example)
	}
}

// suspicious returns the suspicious outcomes and groups of equal prompts.
func (s *Set) suspicious(groups [][]int) []SuspiciousGroup {
	kinds := []SuspiciousGroup{{Kind: SuspectNoOutput}, {Kind: SuspectEmptyAnswer}, {Kind: SuspectAnswerSplit}, {Kind: SuspectNoCost},
		{Kind: SuspectNoOutputCount}, {Kind: SuspectTokenParts}, {Kind: SuspectStraddle}}
	at := make(map[string]*SuspiciousGroup, len(kinds))
	for k := range kinds {
		at[kinds[k].Kind] = &kinds[k]
	}
	for i := range s.Queries {
		for j := range s.Models {
			if kind := s.suspect(i, j); kind != "" {
				at[kind].add(s.Queries[i].ID + " " + s.Models[j].Name)
			}
			if s.Answers != nil && s.Answers[i][j] == "" && s.Score.At(i, j) == 1 {
				at[SuspectEmptyAnswer].add(s.Queries[i].ID + " " + s.Models[j].Name)
			}
		}
		if s.Answers != nil {
			for range s.splitAnswers(i) {
				at[SuspectAnswerSplit].add(s.Queries[i].ID)
			}
		}
	}
	for _, rows := range groups {
		first := &s.Queries[rows[0]]
		for _, i := range rows[1:] {
			if s.Queries[i].Split != first.Split {
				at[SuspectStraddle].add(first.ID + " " + s.Queries[i].ID)
				break
			}
		}
	}
	found := []SuspiciousGroup{}
	for _, g := range kinds {
		if g.Count > 0 {
			found = append(found, g)
		}
	}
	return found
}

// suspect returns what is suspicious about the numbers of one outcome, or "".
func (s *Set) suspect(i, j int) string {
	in, out := s.InputTokens.At(i, j), s.OutputTokens.At(i, j)
	noCost := s.CostUSD.Rows == 0 || math.IsNaN(s.CostUSD.At(i, j))
	scored := !math.IsNaN(s.Score.At(i, j))
	switch {
	case out == 0:
		return SuspectNoOutput
	case scored && noCost && math.IsNaN(in) && math.IsNaN(out):
		return SuspectNoCost
	case scored && noCost && math.IsNaN(out):
		return SuspectNoOutputCount
	case s.CachedTokens.Rows > 0 && s.CachedTokens.At(i, j) > in,
		s.ReasoningTokens.Rows > 0 && s.ReasoningTokens.At(i, j) > out:
		return SuspectTokenParts
	}
	return ""
}

// splitAnswers counts the answers to query i that have both scores.
func (s *Set) splitAnswers(i int) int {
	const failed, succeeded = 1, 2
	seen := make(map[string]int)
	for j, answer := range s.Answers[i] {
		if answer == "" {
			continue
		}
		switch s.Score.At(i, j) {
		case 0:
			seen[answer] |= failed
		case 1:
			seen[answer] |= succeeded
		}
	}
	n := 0
	for _, v := range seen {
		if v == failed|succeeded {
			n++
		}
	}
	return n
}
