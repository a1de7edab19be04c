package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// Relevant returns the facts that matter to a translation of the request to an API, so
// that models which differ in others can share it.
func (r *Request) Relevant(f Facts, to API) Facts {
	has := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return r.top.find(key) != nil })
	}
	if !has("temperature", "top_p") {
		f.NoSampling, f.OneSampling = false, false
	}
	if !has("reasoning_effort", "reasoning", "output_config", "thinking") {
		f.NoEffort, f.Efforts = false, ""
	}
	f.Foreign = f.Foreign && (to == Chat || to == Responses && has("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier",
		"metadata", "service_tier", "verbosity", "text", "reasoning_effort", "reasoning", "output_config", "thinking"))
	f.NoPrefill = f.NoPrefill && to == Messages
	f.WantsReasoning, f.WantsSignature = f.WantsReasoning && to == Chat, f.WantsSignature && to == Chat
	switch limit := r.MaxOutputTokens; {
	case limit > 0 && limit <= f.MaxOutput, limit == 0 && to != Messages, limit == 0 && f.Limit > 0, limit == 0 && !r.Stream && f.MaxOutput > unasked:
		f.MaxOutput = 0
	}
	if r.MaxOutputTokens > 0 || to != Messages {
		f.Limit = 0
	}
	return f
}

// fitTools checks the choice of tools, and leaves out those that may not be called.
// Tools that the conversation added come after the others, so that the beginning of the
// prompt, which providers cache, stays the same.
func (p *prompt) fitTools() error {
	if p.functions > 0 && p.functions == len(p.tools) {
		p.names.functions, p.oneCall = true, true
	}
	places := make(map[string]int, len(p.tools))
	declared := len(p.tools)
	p.tools = slices.DeleteFunc(p.tools, func(t tool) bool {
		_, twice := places[t.name]
		if !twice {
			places[t.name] = len(places)
		}
		return twice
	})
	if n := len(p.tools); n < declared {
		p.narrow("tools[]", strconv.Itoa(n))
	}
	for _, t := range p.found {
		if i, ok := places[t.name]; ok {
			p.tools[i] = t // the later definition holds
			continue
		}
		places[t.name] = len(p.tools)
		p.tools = append(p.tools, t)
	}
	if len(p.withdrawn) > 0 {
		p.tools = slices.DeleteFunc(p.tools, func(t tool) bool { return p.withdrawn[t.name] })
	}
	if p.choice.only != nil {
		p.tools = slices.DeleteFunc(p.tools, func(t tool) bool { return !p.choice.only[t.name] })
	}
	switch p.choice.kind {
	case "tool":
		if p.leftOut && !slices.ContainsFunc(p.tools, func(t tool) bool { return t.name == p.choice.name }) {
			return refuse("tool_choice", "the other API does not have the tool that it asks for")
		}
	case "required":
		if p.leftOut && len(p.tools) == 0 {
			return refuse("tool_choice", "the other API has none of the tools")
		}
	}
	if len(p.tools) == 0 {
		p.choice = choice{}
	}
	return nil
}

// fitOnce leaves out what was said only until a turn of the user that has come since.
func (p *prompt) fitOnce() {
	last := len(p.turns) - 1
	for last >= 0 && p.turns[last].role != "user" {
		last--
	}
	at := -1
	p.turns = slices.DeleteFunc(p.turns, func(t turn) bool {
		at++
		return t.once && at < last
	})
}

// fitNumbers leaves out or changes the numbers that the model refuses.
func (p *prompt) fitNumbers() {
	isOne := func(raw string) bool { return raw == "" || gjson.Parse(raw).Num == 1 } // the default
	if p.facts.NoSampling {
		if !isOne(rawOf(p.temperature)) {
			p.drop("temperature")
		}
		if !isOne(p.topP) {
			p.drop("top_p")
		}
		p.temperature, p.topP = gjson.Result{}, ""
	}
	if p.to == Messages && p.temperature.Num > 1 {
		p.temperature = gjson.Result{Type: gjson.Number, Num: 1, Raw: "1"}
		p.narrow("temperature", "1")
	}
	if p.to == Messages && p.temperature.Exists() && (isOne(p.topP) || p.facts.OneSampling) {
		if !isOne(p.topP) {
			p.drop("top_p")
		}
		p.topP = "" // as 1, it has no effect
	}
	limit := "max_tokens"
	if p.to == Responses {
		limit = "max_output_tokens"
	}
	asked := gjson.Parse(p.maxTokens).Num
	most := p.facts.MaxOutput
	switch {
	case p.maxTokens == "" && p.to == Messages:
		p.maxTokens = strconv.Itoa(p.requiredLimit())
	case p.maxTokens != "" && most > 0 && asked > float64(most):
		p.maxTokens = strconv.Itoa(most)
		p.narrow(limit, p.maxTokens)
	case p.maxTokens != "" && p.to == Responses && asked < leastOutput:
		p.maxTokens = strconv.Itoa(leastOutput)
		p.narrow(limit, p.maxTokens)
	}
}

// requiredLimit returns the token limit for a request that has none.
func (p *prompt) requiredLimit() int {
	if p.facts.Limit > 0 {
		return p.facts.Limit
	}
	limit := p.facts.MaxOutput
	if limit == 0 || limit > unasked && !p.stream {
		limit = unasked
	}
	if limit != p.facts.MaxOutput { // a model would end longer answers anyway
		note(&p.notes.Added, "max_tokens="+strconv.Itoa(limit))
	}
	return limit
}

// fitEffort lowers an effort that the model is known not to have to the next lower
// one, or to its lowest.
func (p *prompt) fitEffort() {
	have := strings.Fields(p.facts.Efforts)
	if len(have) == 0 && p.facts.Foreign && p.to != Messages {
		have = []string{"low", "medium", "high"} // which all servers have that have any
	}
	switch {
	case p.effort == "":
	case p.facts.NoEffort:
		if p.effort != "none" {
			p.drop("reasoning_effort")
		}
		p.effort = ""
	case p.effort == "none" && p.to == Messages: // it disables thinking
	case p.effort == "none" && p.facts.Efforts == "" && p.facts.Foreign:
		p.drop("reasoning_effort")
		p.effort = ""
	case len(have) > 0 && !slices.Contains(have, p.effort):
		all := []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}
		wanted := slices.Index(all, p.effort)
		if wanted < 0 {
			return // the provider may know it
		}
		p.effort = have[0]
		for _, e := range have {
			if slices.Index(all, e) < wanted {
				p.effort = e
			}
		}
		p.narrow("reasoning_effort", p.effort)
	}
}

// fitUser replaces a user's id that the provider would refuse as too long with its
// hash, so that it still tells users apart.
func (p *prompt) fitUser() {
	longest := 64
	if p.to == Messages {
		longest = 256
	}
	if id := gjson.Parse(p.user).Str; len(id) > longest {
		sum := sha256.Sum256([]byte(id))
		p.user = quote(hex.EncodeToString(sum[:]))
		p.narrow("user", "sha256")
	}
}

// fitFormat replaces a format that Anthropic does not have with an instruction: it
// supports JSON only with a schema, and only some schemas.
func (p *prompt) fitFormat() {
	if p.format == nil {
		return
	}
	instruction := "Answer with a single JSON object and nothing else."
	if p.format.schema != "" {
		schema, moved, ok := anthropicSchema(gjson.Parse(p.format.schema))
		if ok {
			p.format.schema = schema
			if moved {
				p.narrow("response_format.schema", "description")
			}
			return
		}
		instruction += " It must follow this JSON schema: " + p.format.schema
	}
	p.format = nil
	p.narrow("response_format", "prompt")
	p.turns = append(p.turns, turn{role: "system", parts: []part{{text: quote(instruction)}}})
}

// fitInputs makes the arguments of calls in the conversation objects, as Anthropic wants
// them.
func (p *prompt) fitInputs() {
	for i := range p.turns {
		for j := range p.turns[i].parts {
			x := &p.turns[i].parts[j]
			if x.kind != callPart {
				continue
			}
			call := said{kind: saidCall, text: x.input}
			input, err := call.arguments()
			if err != nil {
				input = new(builder).str("input", x.input).String()
			}
			if err != nil || call.cut() {
				p.narrow("messages[].arguments", "object")
			}
			x.input = input
		}
	}
}

// maxMarks is the most places that Anthropic caches up to.
const maxMarks = 4

// fitMarks leaves out marks for the cache beyond those that Anthropic takes: the first one
// stays, after which the least changes, and the last ones.
func (p *prompt) fitMarks() {
	var marks []*string
	mark := func(at *string) {
		if *at != "" {
			marks = append(marks, at)
		}
	}
	for i := range p.tools {
		mark(&p.tools[i].cache)
	}
	for i := range p.turns {
		for j := range p.turns[i].parts {
			x := &p.turns[i].parts[j]
			for k := range x.result {
				mark(&x.result[k].cache)
			}
			mark(&x.cache)
		}
	}
	if len(marks) <= maxMarks {
		return
	}
	for _, at := range marks[1 : len(marks)-maxMarks+1] {
		*at = ""
	}
	p.drop("cache_control")
}

// fitRoles gives Anthropic the turns of the user that it wants: one at least, one that
// begins the conversation, and for some models one that ends it. System turns come first.
func (p *prompt) fitRoles() {
	said := func(text string) turn {
		note(&p.notes.Added, "messages[]=user")
		return turn{role: "user", parts: []part{{text: quote(text)}}}
	}
	first := slices.IndexFunc(p.turns, func(t turn) bool { return t.role != "system" })
	switch n := len(p.turns); {
	case n == 0:
		return
	case first < 0:
		p.turns[n-1].role = "user"
		p.narrow("messages[].role", "user")
		return
	case p.turns[first].role == "assistant":
		p.turns = slices.Insert(p.turns, first, said("Begin."))
	}
	last := p.turns[len(p.turns)-1]
	if p.facts.NoPrefill && last.role == "assistant" && !slices.ContainsFunc(last.parts, func(x part) bool { return x.kind == callPart }) {
		p.turns = append(p.turns, said("Continue."))
	}
}

// fitSystem makes system turns within the conversation turns of the user, because the
// templates of most models take one only at the beginning. Claude Code, which sends them,
// writes them in this form if they are refused.
func (p *prompt) fitSystem() {
	first := max(0, slices.IndexFunc(p.turns, func(t turn) bool { return t.role != "system" }))
	for i := first; i < len(p.turns); i++ {
		t := &p.turns[i]
		if t.role != "system" || len(t.parts) == 0 {
			continue
		}
		said := paragraphs(t.parts).text
		p.turns[i] = turn{role: "user", parts: []part{{text: `"<system-reminder>\n` + bare(said) + `\n</system-reminder>"`}}}
		p.narrow("messages[].role", "user")
	}
}

// fitResults puts the results of calls right after the turn with the calls, where chat
// and messages want them.
func (p *prompt) fitResults() {
	made := map[string]int{} // the turn of each call
	late := false
	assistant, only := -1, true // the latest turn of the model, and whether only results followed it
	for i := range p.turns {
		t := &p.turns[i]
		for j := range t.parts {
			switch x := &t.parts[j]; x.kind {
			case callPart:
				made[x.id] = i
			case resultPart:
				at, ok := made[x.id]
				late = late || ok && (at != assistant || !only)
			}
		}
		if t.role == "assistant" {
			assistant, only = i, true
		} else {
			only = only && t.results()
		}
	}
	if !late {
		return
	}
	after := map[int][]part{} // results by the turn of their calls
	for i := range p.turns {
		t := &p.turns[i]
		t.parts = slices.DeleteFunc(slices.Clone(t.parts), func(x part) bool {
			at, ok := made[x.id]
			if x.kind != resultPart || !ok {
				return false
			}
			after[at] = append(after[at], x)
			return true
		})
	}
	var out []turn
	for i, t := range p.turns {
		if len(t.parts) > 0 {
			out = append(out, t)
		}
		if results := after[i]; len(results) > 0 {
			out = append(out, turn{role: "user", parts: results})
		}
	}
	p.turns = p.merged(out)
}

// fitReasoning leaves out the reasoning of turns without calls, which no server wants.
func (p *prompt) fitReasoning() {
	isCall := func(x part) bool { return x.kind == callPart }
	for i := range p.turns {
		t := &p.turns[i]
		if slices.ContainsFunc(t.parts, isCall) {
			continue
		}
		n := len(t.parts)
		if t.parts = slices.DeleteFunc(t.parts, func(x part) bool { return x.kind == thoughtPart }); len(t.parts) < n {
			p.dropReasoning()
		}
	}
}

// dropReasoning notes that reasoning in the conversation is left out.
func (p *prompt) dropReasoning() {
	if p.from == Responses {
		p.drop("input[].reasoning")
	} else {
		p.drop("messages[].thinking")
	}
}

// fitBlank removes texts of white space only, and the turns that then have no parts,
// which Anthropic refuses, as it does white space at the end of an answer that it is
// to continue. It also removes such stop sequences.
func (p *prompt) fitBlank() {
	for i := range p.turns {
		p.turns[i].parts = withoutBlank(p.turns[i].parts)
	}
	p.turns = slices.DeleteFunc(p.turns, func(t turn) bool { return len(t.parts) == 0 })
	if n := len(p.turns) - 1; n >= 0 && p.turns[n].role == "assistant" {
		if x := &p.turns[n].parts[len(p.turns[n].parts)-1]; x.kind == textPart {
			if text := gjson.Parse(x.text).Str; strings.TrimSpace(text[len(text)-1:]) == "" {
				x.text = quote(strings.TrimRight(text, " \t\r\n"))
			}
		}
	}
	asked := len(p.stop)
	p.stop = slices.DeleteFunc(p.stop, blank)
	switch {
	case asked == len(p.stop):
	case len(p.stop) == 0:
		p.drop("stop")
	default:
		p.narrow("stop", strconv.Itoa(len(p.stop)))
	}
}

// fitEmpty removes empty texts beside other parts of a turn, which some servers refuse and
// clients send with calls.
func (p *prompt) fitEmpty() {
	for i := range p.turns {
		t := &p.turns[i]
		if len(t.parts) > 1 && slices.ContainsFunc(t.parts, func(x part) bool { return x.kind != textPart || x.text != `""` }) {
			t.parts = slices.DeleteFunc(t.parts, func(x part) bool { return x.kind == textPart && x.text == `""` })
		}
	}
}

// withoutBlank returns the parts that are not texts of white space only.
func withoutBlank(parts []part) []part {
	var out []part
	for _, x := range parts {
		if x.kind != textPart || !blank(x.text) {
			x.result = withoutBlank(x.result)
			out = append(out, x)
		}
	}
	return out
}

// blank reports whether a JSON string is white space only.
func blank(raw string) bool {
	if len(raw) > 2 && raw[1] != '\\' && raw[1] != ' ' && raw[1] < 0x80 {
		return false
	}
	return strings.TrimSpace(gjson.Parse(raw).Str) == ""
}
