package wire

import (
	"math"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
)

// Report is what a provider has reported of what a call used, in one answer or in the
// events of a stream so far. The zero value has no report.
//
// A later report of a stream completes an earlier one: a count that is zero or missing
// leaves the earlier one standing, and so does a smaller one, because a count that
// shrinks cannot be true. Counts that are negative, or 2^40 or more, make everything
// that is reported incredible.
type Report struct {
	api          API
	counts       [countKinds]int
	writes       map[int]int // cache writes by lifetime in seconds
	tools        map[string]int
	also         map[string]carrot.Usage // by other models, such as an advisor
	more         carrot.Usage            // in requests of the same model that the counts leave out
	declined     *carrot.Usage           // in requests of the called model, if another one answered
	answeredBy   string                  // that other model
	tier, speed  string
	region       string
	miss         string // see CacheMiss
	input        bool   // the input was reported
	output       bool   // the output was reported
	unbelievable bool
}

// countKind is a count as it is reported. Counts of one report may overlap.
type countKind int

const (
	promptCount countKind = iota // of chat and responses including the next four, of messages not
	cachedCount
	writtenCount
	audioInCount
	imageInCount
	outputCount // including the next three
	reasoningCount
	audioOutCount
	imageOutCount
	totalCount
	countKinds
)

// usageNames are the names of counts in a usage object and in the objects within it.
// Several names of one count are those of different servers.
var usageNames = map[API]map[string]countKind{
	Chat: {
		"prompt_tokens": promptCount, "completion_tokens": outputCount, "total_tokens": totalCount,
		"cached_tokens":             cachedCount,  // Moonshot
		"prompt_cache_hit_tokens":   cachedCount,  // DeepSeek
		"prompt_cache_write_tokens": writtenCount, // Fireworks and others
		"cache_read_input_tokens":   cachedCount,  // gateways in front of Anthropic
		"prompt_tokens_details":     inputParts, "completion_tokens_details": outputParts,
		"cache_creation_input_tokens": writtenCount,
	},
	Responses: {
		"input_tokens": promptCount, "output_tokens": outputCount, "total_tokens": totalCount,
		"input_tokens_details": inputParts, "output_tokens_details": outputParts,
	},
	Messages: {
		"input_tokens": promptCount, "output_tokens": outputCount,
		"cache_read_input_tokens": cachedCount, "cache_creation_input_tokens": writtenCount,
		"output_tokens_details": outputParts,
	},
	Embeddings: {"prompt_tokens": promptCount},
}

// Names of objects that hold further counts.
const (
	inputParts countKind = -1 - iota
	outputParts
)

var inputPartNames = map[string]countKind{"cached_tokens": cachedCount, "cache_write_tokens": writtenCount, "audio_tokens": audioInCount, "image_tokens": imageInCount}

var outputPartNames = map[string]countKind{"reasoning_tokens": reasoningCount, "thinking_tokens": reasoningCount, "audio_tokens": audioOutCount, "image_tokens": imageOutCount}

// Input and Output report whether the provider has reported credible counts of the
// input and of the output.
func (r *Report) Input() bool { return r.input && !r.unbelievable }

// Output is described with Input.
func (r *Report) Output() bool { return r.output && !r.unbelievable }

// Add notes what a chunk of a stream reports.
func (r *Report) Add(c *Chunk) {
	named(&r.tier, c.tier)
	if c.miss != "" {
		r.miss = c.miss
	}
	if c.usage.IsObject() {
		had := r.output
		r.add(c.api, c.usage)
		if c.InputOnly {
			r.output = had
		}
	}
	if c.items.Exists() {
		r.items(c.items)
	}
}

// items counts the uses of the provider's tools in the output of a response.
func (r *Report) items(output gjson.Result) {
	uses := map[string]int{}
	elements(output, func(item gjson.Result) {
		tool, ok := strings.CutSuffix(item.Get("type").Str, "_call")
		if action := item.Get("action.type").Str; ok && billedCalls[tool] && (action == "" || action == "search") {
			uses[tool]++
		}
	})
	for tool, n := range uses {
		if r.tools == nil {
			r.tools = map[string]int{}
		}
		r.tools[tool] = max(r.tools[tool], n)
	}
}

// billedCalls are the provider's tools that are billed by use, by the types of their
// items in responses.
var billedCalls = map[string]bool{"web_search": true, "file_search": true, "code_interpreter": true, "image_generation": true}

// tokens reads a number of tokens. ok is false if v is not one.
func (r *Report) tokens(v gjson.Result) (n int, ok bool) {
	if v.Type != gjson.Number {
		return 0, false
	}
	if !(v.Num >= 0 && v.Num < 1<<40) {
		r.unbelievable = true
		return 0, false
	}
	return int(v.Num), true
}

// note notes a count, and reports whether v is one.
func (r *Report) note(kind countKind, v gjson.Result) bool {
	n, ok := r.tokens(v)
	if ok {
		r.counts[kind] = max(r.counts[kind], n)
	}
	return ok
}

// add notes a usage object. It reports whether v is one.
func (r *Report) add(api API, v gjson.Result) bool {
	if !v.IsObject() {
		return false
	}
	r.api = api
	names, found := usageNames[api], false
	v.ForEach(func(key, value gjson.Result) bool {
		kind, known := names[key.Str]
		switch {
		case kind == inputParts && known:
			r.parts(inputPartNames, value)
		case kind == outputParts && known:
			r.parts(outputPartNames, value)
		case known:
			ok := r.note(kind, value)
			switch kind {
			case promptCount:
				r.input, found = r.input || ok, found || ok
				if api == Embeddings {
					r.output = r.input
				}
			case outputCount:
				r.output, found = r.output || ok, found || ok && api == Messages
			}
		default:
			r.detail(key.Str, value)
		}
		return true
	})
	return found
}

// parts notes the counts in an object within a usage.
func (r *Report) parts(names map[string]countKind, v gjson.Result) {
	v.ForEach(func(key, value gjson.Result) bool {
		if kind, ok := names[key.Str]; ok {
			r.note(kind, value)
		} else if key.Str == "cache_write_tokens_details" {
			r.lifetimes(value)
		}
		return true
	})
}

// detail notes a member of a usage that is not a count of tokens.
func (r *Report) detail(name string, v gjson.Result) {
	switch name {
	case "service_tier":
		named(&r.tier, v.Str)
	case "speed":
		named(&r.speed, v.Str)
	case "inference_geo":
		named(&r.region, v.Str)
	case "cache_creation":
		r.lifetimes(v)
	case "server_tool_use":
		v.ForEach(func(key, value gjson.Result) bool {
			if tool, ok := strings.CutSuffix(key.Str, "_requests"); ok && !freeTools[tool] {
				r.used(tool, value)
			}
			return true
		})
	case "num_search_queries": // Perplexity
		r.used("web_search", v)
	case "num_sources_used": // xAI
		r.used("search_source", v)
	case "iterations":
		r.iterations(v)
	}
}

// freeTools are tools that are not billed by use.
var freeTools = map[string]bool{"web_fetch": true, "tool_search": true}

// maxName is the longest name of a tier, a tool or a model that is kept.
const maxName = 64

// named notes a name that decides the price. The names of what is billed as usual are
// noted as none.
func named(field *string, name string) {
	if name == "" || len(name) > maxName {
		return
	}
	switch name = strings.ToLower(name); name {
	case "default", "standard", "auto", "on_demand", "global", "not_available":
		*field = ""
	default:
		*field = name
	}
}

// used notes how often a tool was used so far.
func (r *Report) used(tool string, v gjson.Result) {
	if n, ok := r.tokens(v); ok && n > r.tools[tool] && len(tool) <= maxName && len(r.tools) < 32 {
		if r.tools == nil {
			r.tools = map[string]int{}
		}
		r.tools[tool] = n
	}
}

// lifetimes notes cache writes by lifetime. The names of the counts contain it, as in
// ephemeral_5m_input_tokens and ttl_12h_tokens.
func (r *Report) lifetimes(v gjson.Result) {
	v.ForEach(func(key, value gjson.Result) bool {
		if n, ok := r.tokens(value); ok && n > 0 {
			if seconds := lifetime(key.Str); seconds > 0 && len(r.writes) < 32 {
				if r.writes == nil {
					r.writes = map[int]int{}
				}
				r.writes[seconds] = max(r.writes[seconds], n)
			}
		}
		return true
	})
}

// lifetime returns the seconds in the name of a count, or 0.
func lifetime(name string) int {
	for part := range strings.SplitSeq(name, "_") {
		if len(part) < 2 {
			continue
		}
		n, err := strconv.Atoi(part[:len(part)-1])
		unit := map[byte]int{'s': 1, 'm': 60, 'h': 3600, 'd': 86400}[part[len(part)-1]]
		if err == nil && unit > 0 && n > 0 && n < math.MaxInt32/unit {
			return n * unit
		}
	}
	return 0
}

// iterations notes what Anthropic's counts at the top leave out: summaries of the
// conversation (compaction), an advisor's answers, and what the model that was called
// used before another one took over. The list is repeated as a whole by later reports.
func (r *Report) iterations(list gjson.Result) {
	var more, called carrot.Usage
	also := map[string]carrot.Usage{}
	by := ""
	elements(list, func(v gjson.Result) {
		var one Report
		one.add(Messages, v)
		if one.unbelievable {
			r.unbelievable = true
			return
		}
		u, model := one.Usage(), v.Get("model").Str
		switch v.Get("type").Str {
		case "compaction":
			more = plus(more, u)
		case "advisor_message":
			if len(model) <= maxName && len(also) < 32 {
				also[model] = plus(also[model], u)
			}
		case "fallback_message":
			by = model
		case "message":
			if called = plus(called, u); by != "" {
				by = ""
			}
		}
	})
	if more != (carrot.Usage{}) {
		r.more = more
	}
	if len(also) > 0 {
		r.also = also
	}
	if by != "" && len(by) <= maxName {
		r.answeredBy, r.declined = by, &called
	}
}

// plus returns the sum of two usages.
func plus(a, b carrot.Usage) carrot.Usage {
	sum := carrot.Usage{Input: a.Input + b.Input, CachedInput: a.CachedInput + b.CachedInput, CacheWrite: a.CacheWrite + b.CacheWrite,
		Output: a.Output + b.Output, Reasoning: a.Reasoning + b.Reasoning}
	if a.Details == nil && b.Details == nil {
		return sum
	}
	sum.Details = &carrot.UsageDetails{}
	for _, u := range []carrot.Usage{a, b} {
		if u.Details == nil {
			continue
		}
		for seconds, n := range u.Details.CacheWrites {
			if sum.Details.CacheWrites == nil {
				sum.Details.CacheWrites = map[int]int{}
			}
			sum.Details.CacheWrites[seconds] += n
		}
	}
	return sum
}

// Usage returns what was used, as far as it was reported.
func (r *Report) Usage() carrot.Usage {
	if r.unbelievable {
		return carrot.Usage{}
	}
	u := r.top()
	if r.declined != nil { // another model answered, whose price is not that of the called one
		answered := u
		answered.Details = nil
		if d := u.Details; d != nil && d.CacheWrites != nil {
			answered.Details = &carrot.UsageDetails{CacheWrites: d.CacheWrites}
		}
		own := u.Details
		u = plus(*r.declined, r.more)
		if own != nil { // these are not of one model
			d := detailsOf(&u)
			d.Tools, d.Tier, d.Speed, d.Region = own.Tools, own.Tier, own.Speed, own.Region
		}
		r.others(&u, map[string]carrot.Usage{r.answeredBy: answered})
	} else if r.more != (carrot.Usage{}) {
		d := u.Details
		if u = plus(u, r.more); d != nil {
			writes := u.Details.CacheWrites
			*u.Details = *d
			u.Details.CacheWrites = writes
		}
	}
	r.others(&u, r.also)
	return u
}

// others adds what other models used.
func (r *Report) others(u *carrot.Usage, also map[string]carrot.Usage) {
	if len(also) == 0 {
		return
	}
	d := detailsOf(u)
	if d.Also == nil {
		d.Also = map[string]carrot.Usage{}
	}
	for model, used := range also {
		d.Also[model] = plus(d.Also[model], used)
	}
}

func detailsOf(u *carrot.Usage) *carrot.UsageDetails {
	if u.Details == nil {
		u.Details = &carrot.UsageDetails{}
	}
	return u.Details
}

// top returns the usage in the counts at the top, with parts that do not overlap.
// OpenAI's counts do: those of the prompt include cached tokens and those of the
// completion include reasoning. Anthropic counts cached tokens separately.
func (r *Report) top() carrot.Usage {
	c := r.counts
	written := c[writtenCount]
	lasting := 0 // written for a known time
	for _, n := range r.writes {
		lasting += n
	}
	written = max(written, lasting)
	if apart := c[cachedCount] + written; r.api != Messages && apart > 0 && c[totalCount] == c[promptCount]+apart+c[outputCount] {
		c[promptCount] += apart // gateways in front of Anthropic may count as it does, as their total shows
	}
	prompt := c[promptCount]
	if r.api != Messages {
		c[cachedCount] = min(c[cachedCount], c[promptCount])
		written = min(written, c[promptCount]-c[cachedCount])
		rest := c[promptCount] - c[cachedCount] - written
		c[audioInCount] = min(c[audioInCount], rest)
		c[imageInCount] = min(c[imageInCount], rest-c[audioInCount])
		c[promptCount] = rest - c[audioInCount] - c[imageInCount]
	}
	u := carrot.Usage{Input: c[promptCount], CachedInput: c[cachedCount], CacheWrite: written}
	if 0 < lasting && lasting <= written {
		u.CacheWrite = written - lasting
		detailsOf(&u).CacheWrites = r.writes
	}
	// Some servers do not include reasoning in the completion, as their total shows.
	beside := 0
	if r.api == Chat || r.api == Responses {
		beside = max(c[totalCount]-prompt-c[outputCount], 0)
	}
	u.Reasoning = c[reasoningCount]
	switch {
	case beside == 0:
		u.Reasoning = min(u.Reasoning, c[outputCount])
		c[outputCount] -= u.Reasoning
	case beside != u.Reasoning:
		u.Reasoning = min(u.Reasoning, c[outputCount])
		c[outputCount] -= u.Reasoning
		u.Reasoning += beside
	}
	c[audioOutCount] = min(c[audioOutCount], c[outputCount])
	c[imageOutCount] = min(c[imageOutCount], c[outputCount]-c[audioOutCount])
	u.Output = c[outputCount] - c[audioOutCount] - c[imageOutCount]
	if max(c[audioInCount], c[imageInCount], c[audioOutCount], c[imageOutCount]) > 0 {
		d := detailsOf(&u)
		d.AudioInput, d.ImageInput, d.AudioOutput, d.ImageOutput = c[audioInCount], c[imageInCount], c[audioOutCount], c[imageOutCount]
	}
	if len(r.tools) > 0 || r.tier != "" || r.speed != "" || r.region != "" {
		d := detailsOf(&u)
		d.Tools, d.Tier, d.Speed, d.Region = r.tools, r.tier, r.speed, r.region
	}
	return u
}
