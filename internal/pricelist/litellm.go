package pricelist

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/price"
)

// LiteLLM reads model_prices_and_context_window.json of LiteLLM (MIT), which the
// project's wheels have as model_prices_and_context_window_backup.json.
func LiteLLM(text []byte, o Options) (*Imported, error) {
	var list map[string]json.RawMessage
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("read LiteLLM's list: %w", err)
	}
	c := &collector{}
	// Entries with the prefix of a provider come first: they say whose price it is.
	keys := slices.SortedFunc(maps.Keys(list), func(a, z string) int {
		if x, y := strings.Contains(a, "/"), strings.Contains(z, "/"); x != y {
			return map[bool]int{true: -1, false: 1}[x]
		}
		return strings.Compare(a, z)
	})
	for _, key := range keys {
		if key == "sample_spec" {
			continue // which describes the fields
		}
		c.Read++
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(list[key], &fields); err != nil {
			return nil, fmt.Errorf("read LiteLLM's list: %q: %w", key, err)
		}
		e := litellmEntry{fields: fields, tariff: newTariff()}
		name, reason := e.admit(key, o)
		if reason == "" {
			if err := e.read(); err != nil {
				return nil, fmt.Errorf("read LiteLLM's list: %q: %w", key, err)
			}
			if reason = e.missing(); reason == "" {
				c.add(key, e.entry(name, o))
			}
		}
		if reason != "" {
			c.leave(key, "%s", reason)
		}
	}
	return c.finish(), nil
}

// litellmVendors are the vendors by the name that LiteLLM has for their own API, with the
// beginnings of the names of their own models, if they serve those of others as well.
var litellmVendors = map[string]struct {
	name string
	own  []string
}{
	"openai":                 {"openai", nil},
	"text-completion-openai": {"openai", nil},
	"anthropic":              {"anthropic", nil},
	"gemini":                 {"google", nil},
	"deepseek":               {"deepseek", nil},
	"dashscope":              {"qwen", []string{"qwen", "qwq", "qvq"}},
	"mistral":                {"mistral", []string{"mistral", "ministral", "codestral", "devstral", "magistral", "pixtral", "voxtral", "open-mi", "labs-"}},
	"meta":                   {"meta", nil},
	"meta_llama":             {"meta", nil},
	"xai":                    {"xai", nil},
	"moonshot":               {"moonshot", nil},
	"zai":                    {"zhipu", nil},
	"minimax":                {"minimax", nil},
	"amazon_nova":            {"amazon", nil},
	"bedrock":                {"amazon", []string{"amazon."}},
	"bedrock_converse":       {"amazon", []string{"amazon."}},
}

// litellmEntry is an entry of LiteLLM's list.
type litellmEntry struct {
	fields     map[string]json.RawMessage
	vendor     string
	tariff     *tariff
	incomplete []string
}

// admit returns the model's name in the book, or the reason why the entry is left out.
func (e *litellmEntry) admit(key string, o Options) (name, reason string) {
	provider, mode := e.text("litellm_provider"), e.text("mode")
	if o.All {
		e.vendor = provider
		return key, ""
	}
	v, ok := litellmVendors[provider]
	if !ok {
		return "", "not one of the twelve vendors' own APIs"
	}
	switch mode {
	case "chat", "responses", "completion", "embedding":
	default:
		return "", "neither a chat model nor an embedding: " + mode
	}
	e.vendor, name = v.name, key
	if i := strings.LastIndex(key, "/"); i >= 0 {
		if name = key[i+1:]; strings.Contains(key[:i], "/") || v.name == "amazon" && !strings.HasPrefix(key, "amazon-nova/") {
			return "", "listed for one region"
		}
	}
	own := name
	if v.name == "amazon" {
		own = general(name)
	}
	if v.own != nil && !slices.ContainsFunc(v.own, func(prefix string) bool { return strings.HasPrefix(own, prefix) }) {
		return "", "another vendor's model"
	}
	if day := e.text("deprecation_date"); day != "" && day <= o.Date {
		return "", "shut down"
	}
	return name, ""
}

// missing returns why there is nothing to import, if so.
func (e *litellmEntry) missing() string {
	if e.placeholder() {
		return "billed by something else than tokens"
	}
	for _, field := range []string{"input_cost_per_token", "output_cost_per_token", "tiered_pricing"} {
		if e.has(field) {
			return ""
		}
	}
	return "no price per token"
}

func (e *litellmEntry) has(field string) bool {
	text, ok := e.fields[field]
	return ok && string(text) != "null"
}

// text returns a field that is a string, or "".
func (e *litellmEntry) text(field string) (s string) {
	_ = json.Unmarshal(e.fields[field], &s)
	return s
}

// number returns a field that is a number, also if it is written as a string.
func number(text json.RawMessage) (n float64, err error) {
	if err = json.Unmarshal(text, &n); err != nil {
		var s string
		if json.Unmarshal(text, &s) == nil {
			n, err = strconv.ParseFloat(s, 64)
		}
	}
	return n, err
}

// litellmKinds are the kinds of tokens by the names of LiteLLM's fields.
var litellmKinds = map[string]string{
	"input_cost_per_token":            "input",
	"output_cost_per_token":           "output",
	"cache_read_input_token_cost":     "cached_input",
	"input_cost_per_token_cache_hit":  "cached_input",
	"cache_creation_input_token_cost": "cache_write",
	"output_cost_per_reasoning_token": "reasoning",
	"input_cost_per_audio_token":      "audio_input",
	"output_cost_per_audio_token":     "audio_output",
	"input_cost_per_image_token":      "image_input",
	"output_cost_per_image_token":     "image_output",
}

// litellmTiers are the tiers by the last part of the names of fields. A request for
// OpenAI's fast tier is answered at the tier priority.
var litellmTiers = map[string]string{"": "", "_batches": "batch", "_flex": "flex", "_priority": "priority", "_balanced": "balanced", "_ultrafast": "ultrafast"}

// litellmField is the form of the names of prices per token: the kind, the lifetime in a
// cache, the length of the prompt, the tier.
var litellmField = regexp.MustCompile(`^([a-z_]+?)(?:_above_(\d+)hr)?(?:_above_(\d+)(k?)_tokens)?(_batches|_flex|_priority|_balanced|_ultrafast)?$`)

// read reads all fields that have to do with prices.
func (e *litellmEntry) read() error {
	for _, field := range slices.Sorted(maps.Keys(e.fields)) {
		if !e.has(field) {
			continue
		}
		if err := e.readField(field, e.fields[field]); err != nil {
			return fmt.Errorf("field %s: %w", field, err)
		}
	}
	if e.has("tiered_pricing") {
		if err := e.readRanges(); err != nil {
			return fmt.Errorf("field tiered_pricing: %w", err)
		}
	}
	if e.has("off_peak_pricing") { // every rate depends on the hour
		e.tariff.forget("input", "cached_input", "cache_write", "output", "reasoning")
		e.lacks("off_peak_pricing")
	}
	if e.has("explicit_cache_read_input_token_cost") { // the rate depends on how the cache was written
		e.tariff.forget("cached_input")
		e.lacks("explicit_cache_read_input_token_cost")
	}
	if e.text("mode") == "embedding" { // which has no output
		for _, r := range e.tariff.cells {
			if r.kinds["output"] == 0 {
				r.kinds["output"] = carrot.Free
			}
		}
	}
	return nil
}

func (e *litellmEntry) lacks(field string) {
	if !slices.Contains(e.incomplete, field) {
		e.incomplete = append(e.incomplete, field)
	}
}

// readField reads one field.
func (e *litellmEntry) readField(field string, text json.RawMessage) error {
	switch field {
	case "tiered_pricing", "off_peak_pricing", "explicit_cache_read_input_token_cost":
		return nil // read when the others are known
	case "search_context_cost_per_query":
		return e.readSearch(text)
	case "provider_specific_entry":
		return e.readFactors(text)
	case "google_maps_grounding_cost_per_query":
		return e.readUse("google_maps", text)
	case "search_free_requests", "regional_endpoint_uplift_multiplier":
		e.lacks(field)
		return nil
	}
	if region, ok := strings.CutPrefix(field, "regional_processing_uplift_multiplier_"); ok {
		return e.readRegion(region, text)
	}
	if field == "fedramp_uplift_multiplier" {
		return e.readRegion("fedramp", text)
	}
	if m := litellmField.FindStringSubmatch(field); m != nil && litellmKinds[m[1]] != "" {
		perToken, err := number(text)
		if err != nil {
			return fmt.Errorf("%s is not a price", text)
		}
		return e.readRate(m, perToken)
	}
	for _, word := range []string{"cost", "pric", "multiplier", "uplift"} {
		if strings.Contains(field, word) {
			if free, err := number(text); !e.counted(field) && (err != nil || free != 0) {
				e.lacks(field)
			}
			break
		}
	}
	return nil
}

// placeholder reports whether the rates of tokens are 0 because something else than tokens
// is billed.
func (e *litellmEntry) placeholder() bool {
	r := e.tariff.cells[cell{}]
	if r == nil {
		return false
	}
	for _, field := range e.incomplete {
		if strings.HasPrefix(field, "output_cost_per_") && r.kinds["output"] == carrot.Free || strings.HasPrefix(field, "input_cost_per_") && r.kinds["input"] == carrot.Free {
			return true
		}
	}
	return false
}

// counted reports whether a price of something else than tokens stands beside the price
// of the tokens as which it is counted.
func (e *litellmEntry) counted(field string) bool {
	for prefix, tokens := range map[string]string{
		"input_cost_per_image": "input_cost_per_image_token", "output_cost_per_image": "output_cost_per_image_token",
		"input_cost_per_audio_per_second": "input_cost_per_audio_token",
	} {
		if strings.HasPrefix(field, prefix) && e.has(tokens) {
			return true
		}
	}
	return false
}

// readRate sets the rate of a field of which m has the parts.
func (e *litellmEntry) readRate(m []string, perToken float64) error {
	at := cell{tier: litellmTiers[m[5]]}
	if m[3] != "" {
		tokens, err := strconv.Atoi(m[3])
		if err != nil || tokens > 1<<30 {
			return fmt.Errorf("a length of %s tokens", m[3])
		}
		if m[4] != "" {
			tokens *= 1000
		}
		at.above = e.length(tokens)
	}
	kind := litellmKinds[m[1]]
	if m[2] != "" {
		hours, err := strconv.Atoi(m[2])
		if err != nil || hours > 1<<20 || kind != "cache_write" {
			return fmt.Errorf("a lifetime of %s hours", m[2])
		}
		return e.tariff.setWrite(at, hours*3600, perToken)
	}
	if kind == "cache_write" && e.openai() { // where the shortest lifetime is half an hour
		if err := e.tariff.setWrite(at, 1800, perToken); err != nil {
			return err
		}
	}
	return e.tariff.set(at, kind, perToken)
}

// length returns the length of the longest prompt that a price above a number of tokens is
// not meant for. xAI's is meant for prompts of that number already, as LiteLLM's
// calculation knows.
func (e *litellmEntry) length(tokens int) int {
	if e.text("litellm_provider") == "xai" {
		return tokens - 1
	}
	return tokens
}

// openai reports whether the entry is of one of OpenAI's models, there or at Azure.
func (e *litellmEntry) openai() bool {
	switch e.text("litellm_provider") {
	case "openai", "azure", "text-completion-openai":
		return true
	}
	return false
}

// readSearch reads the price of a web search, by the size of the context that is searched.
func (e *litellmEntry) readSearch(text json.RawMessage) error {
	var sizes map[string]float64
	if err := json.Unmarshal(text, &sizes); err != nil {
		return err
	}
	prices := slices.Compact(slices.Sorted(maps.Values(sizes)))
	// Free requests and searches that are billed by the prompt make the price of
	// one search depend on other calls.
	if len(prices) != 1 || e.has("search_free_requests") || e.vendor == "google" && e.text("web_search_billing_unit") != "per_query" {
		e.lacks("search_context_cost_per_query")
		return nil
	}
	return e.use("web_search", prices[0])
}

// readUse reads the price of one use of a tool.
func (e *litellmEntry) readUse(tool string, text json.RawMessage) error {
	usd, err := number(text)
	switch {
	case err != nil:
		return err
	case e.has("search_free_requests"):
		e.lacks("search_free_requests")
		return nil
	}
	return e.use(tool, usd)
}

func (e *litellmEntry) use(tool string, usd float64) error {
	if !(usd >= 0 && usd <= 1000) {
		return fmt.Errorf("%v is not a price", usd)
	}
	e.tariff.tools[tool] = carrot.Dollars(usd)
	return nil
}

// readRegion reads the factor of a region.
func (e *litellmEntry) readRegion(region string, text json.RawMessage) error {
	factor, err := number(text)
	if err != nil {
		return err
	}
	e.tariff.regions[region] = factor
	return nil
}

// readFactors reads the factors of regions and speeds, which stand beside other things.
func (e *litellmEntry) readFactors(text json.RawMessage) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		factor, err := number(all[name])
		switch {
		case name == "us" && err == nil, name == "eu" && err == nil:
			e.tariff.regions[name] = factor
		case name == "fast" && err == nil:
			e.tariff.factors[name] = factor
		default:
			e.lacks("provider_specific_entry." + name)
		}
	}
	return nil
}

// readRanges reads prices by ranges of the prompt's length. The price of a prompt is that
// of its range; above the last range, it is that of the last range.
func (e *litellmEntry) readRanges() error {
	var ranges []map[string]json.RawMessage
	if err := json.Unmarshal(e.fields["tiered_pricing"], &ranges); err != nil {
		return err
	}
	first := true
	for i, fields := range ranges {
		var bounds [2]float64
		if err := json.Unmarshal(fields["range"], &bounds); err != nil {
			return fmt.Errorf("[%d]: field range: %w", i, err)
		}
		if !(bounds[0] >= 0 && bounds[0] < 1<<40) || first != (bounds[0] == 0) {
			return fmt.Errorf("[%d]: field range: want the first to begin at 0, and the others above", i)
		}
		first = false
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			kind := litellmKinds[field]
			switch {
			case field == "range":
			case kind == "":
				e.lacks("tiered_pricing." + field)
			default:
				perToken, err := number(fields[field])
				if err != nil {
					return fmt.Errorf("[%d]: field %s: %w", i, field, err)
				}
				if err := e.tariff.set(cell{above: int(bounds[0])}, kind, perToken); err != nil {
					return fmt.Errorf("[%d]: field %s: %w", i, field, err)
				}
			}
		}
	}
	return nil
}

// entry returns the entry of the book.
func (e *litellmEntry) entry(name string, o Options) price.Entry {
	source := o.Source
	if listed := e.text("source"); listed != "" {
		source += ", after " + listed
	}
	slices.Sort(e.incomplete)
	entry := price.Entry{Name: name, Price: e.tariff.price(), Date: o.Date, Source: source, Facts: price.Facts{
		Provider: e.vendor, MaxInput: e.count("max_input_tokens"), MaxOutput: e.count("max_output_tokens"),
		ToolCalls: e.flag("supports_function_calling"), Vision: e.flag("supports_vision"), JSON: e.flag("supports_response_schema"),
		Sampling: e.flag("supports_sampling_params"), CacheMin: e.count("prompt_cache_min_tokens"),
		Shutdown: e.text("deprecation_date"), Successor: e.text("successor_model"), Incomplete: e.incomplete,
	}}
	_ = json.Unmarshal(e.fields["reasoning_effort_levels"], &entry.Efforts)
	if !o.All {
		entry.Successor = entry.Successor[strings.LastIndex(entry.Successor, "/")+1:]
	}
	return entry
}

// count returns a number of tokens, 0 if it is unknown.
func (e *litellmEntry) count(field string) int {
	if n, err := number(e.fields[field]); err == nil && n >= 1 && n <= 1<<40 {
		return int(n)
	}
	return 0
}

// flag returns a flag, nil if it is unknown.
func (e *litellmEntry) flag(field string) *bool {
	var flag *bool
	_ = json.Unmarshal(e.fields[field], &flag)
	return flag
}
