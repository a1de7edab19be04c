package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// talk is what the model sees of a request.
type talk struct {
	model  string
	stream bool
	tools  []tool
	// force is the name of the tool that must be called, or * for any of them.
	force string
	// json says that the answer must be JSON, and schema, if not nil, of which form.
	json   bool
	schema object
	thinks bool
	// hidden says that what the model thinks is not shown.
	hidden bool
	// user are the texts of the last turn of the user, answered is the number of
	// calls since then that have results, and result is the text of the last one.
	user     []string
	answered int
	result   string
	resulted bool // the last thing was a result
	usage    usage

	who     *account
	request object
	history []any // the items that a response would be stored with
}

// usage counts tokens.
type usage struct{ input, cached, written int }

func (u usage) all() int { return u.input + u.cached + u.written }

type tool struct {
	namespace, name string
	custom          bool // its input is text
	search          bool // it is the client's own search for tools, in responses
	hidden          bool // the model cannot call it yet, or no more
	schema          object
}

// said starts a turn of the user, or adds to it if nothing has happened since, and
// reports whether it did. What follows results without a directive, such as pictures
// that a result of chat completions cannot hold, belongs to the results.
func (t *talk) said(texts []string, continues bool) bool {
	if len(texts) == 0 || t.resulted && !strings.Contains(strings.Join(texts, ""), "[[call ") {
		return false
	}
	if !continues {
		t.user = nil
	}
	t.user = append(t.user, texts...)
	t.answered, t.result, t.resulted = 0, "", false
	return true
}

func (t *talk) answers(result string) {
	t.answered++
	t.result, t.resulted = result, true
}

// call is a call of a tool. Its arguments are JSON unless the tool is custom.
type call struct {
	tool      tool
	id        string
	arguments string
}

// answer is what the model says.
type answer struct {
	id       string
	thinking string
	text     string
	calls    []call
}

func (a *answer) String() string {
	if len(a.calls) == 0 {
		return a.text
	}
	var names []string
	for _, c := range a.calls {
		names = append(names, c.tool.name)
	}
	return "calls " + strings.Join(names, ", ")
}

// tokens returns about how many tokens the answer has.
func (a *answer) tokens() int {
	n := len(a.text) + len(a.thinking)
	for _, c := range a.calls {
		n += len(c.tool.name) + len(c.arguments)
	}
	return max(1, n/4)
}

// directives returns the calls that the user asked for, and for each of them the
// number of the answer that makes it.
func (t *talk) directives() (calls []call, answers []int) {
	text := t.speech()
	at := 0
	for {
		start := strings.Index(text[at:], "[[call ")
		if start < 0 {
			return calls, answers
		}
		start += at
		name, rest, ok := strings.Cut(text[start+len("[[call "):], " ")
		if !ok {
			return calls, answers
		}
		// JSON may contain brackets, so the decoder finds its end.
		decoder := json.NewDecoder(strings.NewReader(rest))
		var arguments json.RawMessage
		end := int64(0)
		if decoder.Decode(&arguments) == nil {
			end = decoder.InputOffset()
		}
		if end == 0 || !strings.HasPrefix(rest[end:], "]]") {
			at = start + len("[[call ")
			continue
		}
		joined := len(calls) > 0 && strings.TrimSpace(text[at:start]) == "+"
		at = len(text) - len(rest) + int(end) + len("]]")
		n := 0
		if len(answers) > 0 {
			n = answers[len(answers)-1]
			if !joined {
				n++
			}
		}
		calls, answers = append(calls, call{tool: tool{name: name}, arguments: string(arguments)}), append(answers, n)
	}
}

// find returns the tool with a name.
func (t *talk) find(name string) (tool, bool) {
	i := slices.IndexFunc(t.tools, func(o tool) bool {
		return !o.hidden && (o.name == name || o.namespace != "" && o.namespace+"__"+o.name == name)
	})
	if i < 0 {
		i = slices.IndexFunc(t.tools, func(o tool) bool { return !o.hidden && strings.HasSuffix(o.name, "__"+name) })
	}
	if i < 0 {
		return tool{}, false
	}
	return t.tools[i], true
}

// answer returns what the model says next.
func (t *talk) answer() *answer {
	a := &answer{id: t.who.id()}
	if t.thinks {
		a.thinking = "The user wants: " + cut(t.speech(), 60)
	}
	calls, answers := t.directives()
	if t.answered < len(calls) {
		for i := t.answered; i < len(calls) && answers[i] == answers[t.answered]; i++ {
			c := calls[i]
			found, ok := t.find(c.tool.name)
			if !ok {
				var names []string
				for _, o := range t.tools {
					names = append(names, o.name)
				}
				return &answer{id: a.id, thinking: a.thinking, text: fmt.Sprintf("no tool %s, but: %s", c.tool.name, strings.Join(names, ", "))}
			}
			if found.custom {
				var text string
				if json.Unmarshal([]byte(c.arguments), &text) == nil {
					c.arguments = text
				}
			} else if takesText(found.schema) && strings.HasPrefix(c.arguments, `"`) {
				// A tool that takes text stands behind a function with one text.
				c.arguments = `{"input":` + c.arguments + `}`
			}
			a.calls = append(a.calls, call{found, t.who.id(), c.arguments})
		}
		return a
	}
	a.text = "You said: " + cut(t.speech(), 80)
	if t.answered > 0 {
		a.text = "Done: " + cut(t.result, 200)
	}
	if t.force != "" {
		for _, o := range t.tools {
			if t.force == "*" || t.force == o.name {
				arguments := a.text
				if !o.custom {
					arguments = string(marshal(least(o.schema, o.schema, a.text, 0)))
				}
				a.calls, a.text = append(a.calls, call{o, t.who.id(), arguments}), ""
				return a
			}
		}
	}
	if t.schema != nil {
		a.text = string(marshal(least(t.schema, t.schema, a.text, 0)))
	} else if t.json {
		a.text = string(marshal(object{"answer": a.text}))
	}
	return a
}

// down reports whether the user wants an API to be down once a call of this turn has
// had its result.
func (t *talk) down(api string) bool {
	return t.answered > 0 && strings.Contains(t.speech(), "[[down "+api+"]]")
}

// speech returns what the user said last, without what programs add in tags. Agents
// that shorten a conversation repeat what the user said before in the same turn.
func (t *talk) speech() string {
	for _, s := range slices.Backward(t.user) {
		if s = strings.TrimSpace(s); s != "" && !strings.HasPrefix(s, "<") {
			return s
		}
	}
	return ""
}

// paragraphs divides a text of several parts, which gateways join for the templates of
// some models. What programs add in tags is one paragraph; a text without tags is whole.
func paragraphs(text string) (parts []string) {
	if !strings.HasPrefix(text, "<") && !strings.Contains(text, "\n<") {
		return []string{text}
	}
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := len(text)
		if name, _, ok := strings.Cut(strings.TrimPrefix(text, "<"), ">"); ok && text[0] == '<' {
			if at := strings.Index(text, "</"+name+">"); at >= 0 {
				end = at + len("</"+name+">")
			}
		} else if at := strings.Index(text, "\n\n"); at >= 0 {
			end = at
		}
		parts, text = append(parts, text[:end]), text[end:]
	}
	return parts
}

// takesText reports whether a schema is that of one string named input.
func takesText(schema object) bool {
	p := get(schema, "properties")
	return len(p) == 1 && str(get(p, "input"), "type") == "string"
}

// cut returns at most the first n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// least returns a small value that a schema allows. Its strings are the text.
func least(schema, root object, text string, depth int) any {
	if depth > 16 {
		return nil
	}
	if ref := str(schema, "$ref"); strings.HasPrefix(ref, "#/") {
		at := root
		for part := range strings.SplitSeq(ref[2:], "/") {
			at = get(at, part)
		}
		return least(at, root, text, depth+1)
	}
	if v, ok := schema["const"]; ok {
		return v
	}
	if l := list(schema, "enum"); len(l) > 0 {
		return l[0]
	}
	for _, key := range []string{"anyOf", "oneOf", "allOf"} {
		if l := list(schema, key); len(l) > 0 {
			return least(asObject(l[0]), root, text, depth+1)
		}
	}
	kind := str(schema, "type")
	if l := list(schema, "type"); len(l) > 0 {
		kind, _ = l[0].(string)
	}
	switch kind {
	case "string":
		return text
	case "integer", "number":
		if n, ok := schema["minimum"]; ok {
			return n
		}
		return 1
	case "boolean":
		return true
	case "null":
		return nil
	case "array":
		out := []any{}
		if n, _ := schema["minItems"].(float64); n > 0 {
			out = append(out, least(get(schema, "items"), root, text, depth+1))
		}
		return out
	}
	out := object{}
	for _, key := range list(schema, "required") {
		name, _ := key.(string)
		out[name] = least(get(get(schema, "properties"), name), root, text, depth+1)
	}
	return out
}

// memory holds the accounts.
type memory struct {
	mu       sync.Mutex
	accounts map[string]*account
}

func (m *memory) account(key string) *account {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.accounts[key]
	if a == nil {
		a = &account{key: key, items: map[string]object{}, responses: map[string][]any{}, reasoned: map[string]string{}, threads: map[string]object{}}
		m.accounts[key] = a
	}
	return a
}

// account is what the vendor knows of one API key.
type account struct {
	key string

	mu    sync.Mutex
	count int
	// prompts are the last prompts, of which beginnings may be cached.
	prompts []string
	// items are the stored items of responses, by id; responses are whole
	// conversations, by the id of the response that ended them.
	items     map[string]object
	responses map[string][]any
	// reasoned has, for each call, the reasoning item that led to it.
	reasoned map[string]string
	// threads are conversations of messages, by the id of the last answer.
	threads map[string]object
}

// id returns a new id, without a prefix.
func (w *account) id() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", w.key, w.count))
	return fmt.Sprintf("%x", sum[:12])
}

// seal signs a text so that only this account accepts it.
func (w *account) seal(text string) string {
	sum := sha256.Sum256([]byte(w.key + "\x00" + text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// limit returns how many tokens the context of a model has by its name, which may end
// in a number of thousands, as in m-40k. 0 means no limit.
func limit(model string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(model[strings.LastIndex(model, "-")+1:], "k"))
	if err != nil || !strings.HasSuffix(model, "k") {
		return 0
	}
	return n * 1000
}

// measure counts the tokens of a prompt, of which the beginning that the account has
// sent before is cached. mark says whether the vendor needs a mark in the request to
// cache, and bills that.
func (w *account) measure(prompt string, mark, marked bool) usage {
	w.mu.Lock()
	defer w.mu.Unlock()
	const least, block = 1024, 128
	tokens, cached := max(1, len(prompt)/4), 0
	if !mark || marked {
		for _, old := range w.prompts {
			n := 0
			for n < min(len(old), len(prompt)) && old[n] == prompt[n] {
				n++
			}
			if n /= 4; n >= least {
				cached = max(cached, n/block*block)
			}
		}
		w.prompts = append(w.prompts, prompt)
		if len(w.prompts) > 32 {
			w.prompts = w.prompts[1:]
		}
	}
	cached = min(cached, tokens-1)
	if mark && marked && tokens >= least {
		return usage{input: 1, cached: cached, written: tokens - 1 - cached}
	}
	return usage{input: tokens - cached, cached: cached}
}
