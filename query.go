package carrot

// Abilities are what a query needs or a candidate offers beyond text.
type Abilities struct {
	Tools  bool `json:"tools,omitempty"`  // function calling
	Vision bool `json:"vision,omitempty"` // images in the input
	JSON   bool `json:"json,omitempty"`   // structured output
}

// lacks names the first ability in need that a does not have, or "".
func (a Abilities) lacks(need Abilities) string {
	switch {
	case need.Tools && !a.Tools:
		return "tools"
	case need.Vision && !a.Vision:
		return "vision"
	case need.JSON && !a.JSON:
		return "JSON output"
	}
	return ""
}

// Query is what is routed.
type Query struct {
	// ID is copied into the decision; it may be empty.
	ID string
	// Text is the prompt: all messages, as the caller joins them.
	Text string
	// InputTokens is the number of tokens that every candidate will be
	// billed for as input. Zero: the router counts the text.
	InputTokens int
	// MaxOutputTokens caps the forecast of output tokens of one answer.
	// Zero: no cap.
	MaxOutputTokens int
	// Needs are abilities without which a candidate is excluded.
	Needs Abilities
	// Models restricts the choice to candidates of these names. Empty: the
	// router's whole pool.
	Models []string
	// Answers is the number of answers asked for; their output tokens add up.
	// Zero: one.
	Answers int
	// CachedTokens says, by candidate, how many of InputTokens the provider
	// holds in its prompt cache, from an earlier turn of the conversation:
	// they are estimated at the price of cached input. It may be nil.
	CachedTokens map[string]int
	// InputFactors says, by candidate, how many tokens its model counts for each
	// of InputTokens, in place of Candidate.InputFactor. It may be nil.
	InputFactors map[string]float64
	// Excluded says, by candidate, why the caller excludes it. It may be nil.
	Excluded map[string]string
}

// Model is what is known of the language model that a candidate calls.
type Model struct {
	// ContextTokens is the most tokens, input and output together, that
	// fit. Zero: unknown, nothing is excluded for its length.
	ContextTokens int
	// Abilities of the model. Nil: unknown, nothing is excluded.
	Abilities *Abilities
}

// Candidate is what may be chosen: one call of one model, or a plan of several calls. The
// decision rule knows only its name, its estimate and its cost.
type Candidate struct {
	// Name is unique in a router.
	Name string
	// Model is what the candidate calls.
	Model Model
	// Like names the predictor's column whose forecasts the candidate
	// uses: a model that was never observed borrows a known one's. Empty:
	// the candidate's own name.
	Like string
	// Price of the model; nil if it is unknown, which is an error of Route
	// unless the predictor forecasts the candidate's cost directly or says
	// that it is unknown.
	Price *Price
	// MaxOutputTokens caps the forecast of output tokens of one answer, as
	// Query.MaxOutputTokens does. Zero: no cap.
	MaxOutputTokens int
	// InputFactor is how many tokens the model counts for each of
	// Query.InputTokens, because its tokenizer is another one. Zero: one.
	InputFactor float64
	// QualityShift is added to the forecast of quality, and OutputFactor
	// multiplies that of output tokens: how a candidate with settings of its
	// own, such as a higher reasoning effort, is thought to differ from the
	// model it is like. A factor of zero means one.
	QualityShift, OutputFactor float64
	// Steps of a plan, in the order in which they are made; none for a single call. The
	// plan's cost is that of its steps, at the prices of the candidates that they name,
	// and it is excluded if one of these is missing, or cannot answer the query. Name is then
	// the only other field that counts.
	Steps []Step
}
