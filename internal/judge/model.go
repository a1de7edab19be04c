package judge

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot/internal/readfile"
	"github.com/carrot-router/carrot/internal/strictyaml"
)

// The built-in prompt templates.
var (
	//go:embed prompts/score.md
	promptScore []byte
	//go:embed prompts/reference.md
	promptReference []byte
	//go:embed prompts/pairwise.md
	promptPairwise []byte
)

// template is a prompt with placeholders.
type template struct {
	Scale  float64 `yaml:"scale"`  // the highest score: 1 by default, or 10
	System string  `yaml:"system"` // the system prompt
	body   string
}

var (
	placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z_]*)\s*\}\}`)
	singles     = []string{"prompt", "answer", "reference", "mark"}
	pairs       = []string{"prompt", "first", "second", "mark"}
)

// parseTemplate reads a prompt template: text with placeholders, after a header between
// two lines of three dashes if there is one.
func parseTemplate(name string, data []byte, pairwise bool) (*template, error) {
	t := &template{}
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	if rest, ok := strings.CutPrefix(text, "---\n"); ok {
		header, body, ok := strings.Cut("\n"+rest, "\n---\n")
		if !ok {
			return nil, fmt.Errorf("%s:1: the header does not end: want a line of three dashes after it", name)
		}
		p := strictyaml.Decode([]byte(header+"\n"), t, strictyaml.Options{File: name})
		if !p.Malformed() && p.Given("scale") && t.Scale != 1 && t.Scale != 10 {
			p.Add("scale", "want 1 or 10, the highest score that the prompt asks for")
		}
		if p.Given("scale") && pairwise {
			p.Add("scale", "is not for a pairwise prompt, which asks for a verdict")
		}
		if err := p.Err(); err != nil {
			return nil, err
		}
		text = body
	}
	if t.Scale == 0 {
		t.Scale = 1
	}
	t.body = strings.TrimSpace(text)
	allowed, needed := singles, []string{"answer"}
	if pairwise {
		allowed, needed = pairs, []string{"first", "second"}
	}
	headerLines := strings.Count(string(data[:max(0, len(data)-len(text))]), "\n")
	used := t.placeholders()
	for i, line := range strings.Split(text, "\n") {
		for _, m := range placeholder.FindAllStringSubmatchIndex(line, -1) {
			if key := line[m[2]:m[3]]; !slices.Contains(allowed, key) {
				return nil, fmt.Errorf("%s:%d:%d: unknown placeholder {{%s}}: want one of {{%s}}", name, headerLines+i+1, m[0]+1, key, strings.Join(allowed, "}}, {{"))
			}
		}
	}
	for _, key := range needed {
		if !slices.Contains(used, key) {
			return nil, fmt.Errorf("%s: the placeholder {{%s}} is missing", name, key)
		}
	}
	return t, nil
}

// placeholders lists those of the template.
func (t *template) placeholders() []string {
	var used []string
	for _, m := range placeholder.FindAllStringSubmatch(t.System+"\n"+t.body, -1) {
		used = append(used, m[1])
	}
	return used
}

// fill returns the system prompt and the prompt. Values are not searched for
// placeholders.
func (t *template) fill(values map[string]string) (system, prompt string) {
	replace := func(text string) string {
		return placeholder.ReplaceAllStringFunc(text, func(p string) string {
			return values[placeholder.FindStringSubmatch(p)[1]]
		})
	}
	return replace(t.System), replace(t.body)
}

// asked is a judge that is a model.
type asked struct {
	asker          Asker
	with, without  *template // for items with a reference, and without
	votes          int
	pairwise       bool
	needsReference bool
}

func newAsked(c Config, asker Asker, path string) (*asked, error) {
	j := &asked{asker: asker, votes: max(c.Votes, 1), pairwise: c.Pairwise}
	if path != "" {
		data, err := readfile.Read(path, maxFile)
		if err != nil {
			return nil, err
		}
		t, err := parseTemplate(path, bytes.TrimPrefix(data, []byte("\ufeff")), c.Pairwise)
		if err != nil {
			return nil, err
		}
		j.with, j.without = t, t
		j.needsReference = slices.Contains(t.placeholders(), "reference")
		return j, nil
	}
	if c.Pairwise {
		t, err := parseTemplate("pairwise.md", promptPairwise, true)
		j.with, j.without = t, t
		return j, err
	}
	var err error
	if j.with, err = parseTemplate("reference.md", promptReference, false); err != nil {
		return nil, err
	}
	j.without, err = parseTemplate("score.md", promptScore, false)
	return j, err
}

// Questions returns what is asked about an item. Of a pair, the answer stands first in
// the questions of even numbers.
func (j *asked) Questions(it Item) ([]Question, error) {
	t := j.with
	if strings.TrimSpace(it.Reference) == "" {
		if j.needsReference || j.pairwise {
			return nil, errNoReference
		}
		t = j.without
	}
	// A text that an answer cannot contain on purpose sets it apart from the prompt.
	sum := sha256.Sum256([]byte(it.Prompt + "\x00" + it.Reference + "\x00" + it.Answer))
	values := map[string]string{"prompt": it.Prompt, "answer": it.Answer, "reference": strings.Join(references(it.Reference), "\nor: "), "mark": hex.EncodeToString(sum[:4])}
	var all []Question
	for range j.votes {
		orders := 1
		if j.pairwise {
			orders = 2
		}
		for order := range orders {
			if j.pairwise {
				values["first"], values["second"] = it.Answer, it.Reference
				if order == 1 {
					values["first"], values["second"] = it.Reference, it.Answer
				}
			}
			q := Question{Item: it, Number: len(all)}
			q.System, q.Prompt = t.fill(values)
			all = append(all, q)
		}
	}
	return all, nil
}

func (j *asked) Judge(ctx context.Context, it Item) (Verdict, error) {
	if strings.TrimSpace(it.Answer) == "" {
		return Verdict{Note: "the answer is empty; the model was not asked"}, nil
	}
	questions, err := j.Questions(it)
	if err != nil {
		return Verdict{}, err
	}
	var v Verdict
	sum := 0.0
	for i, q := range questions {
		reply, err := j.asker.Ask(ctx, q)
		if err != nil {
			return Verdict{}, fmt.Errorf("vote %d: %w", i+1, err)
		}
		vote := Vote{First: j.pairwise && i%2 == 0}
		if j.pairwise {
			vote.Score, err = parseWinner(reply, vote.First)
		} else {
			vote.Score, err = parseScore(reply, j.with.Scale)
		}
		if err != nil {
			return Verdict{}, fmt.Errorf("vote %d: %w", i+1, err)
		}
		v.Votes = append(v.Votes, vote)
		sum += vote.Score
	}
	v.Score = sum / float64(len(v.Votes))
	if j.pairwise {
		v.Note = fmt.Sprintf("%g of %d votes won against the reference", sum, len(v.Votes))
	} else {
		v.Note = fmt.Sprintf("mean of %d votes", len(v.Votes))
		if len(v.Votes) == 1 {
			v.Note = "one vote"
		}
	}
	return v, nil
}

var (
	scoreLine   = regexp.MustCompile(`(?i)^(?:final\s+)?(?:score|rating)\s*[:=]\s*([0-9]*\.?[0-9]+)(?:\s*/\s*([0-9]+))?\.?$`)
	scoreAlone  = regexp.MustCompile(`^([0-9]*\.?[0-9]+)(?:\s*/\s*([0-9]+))?$`)
	winnerLine  = regexp.MustCompile(`(?i)^(?:final\s+)?(?:verdict|winner)\s*[:=]\s*(?:\[\[)?(?:answer\s+)?(A|B|tie)(?:\]\])?\.?$`)
	winnerAlone = regexp.MustCompile(`^(?:\[\[)?(A|B|tie|Tie|TIE)(?:\]\])?\.?$`)
)

// lastLine returns the last line of a reply without marks of Markdown, and whether it
// is the only one.
func lastLine(reply string) (line string, only bool) {
	rows := lines(spoken(reply))
	if len(rows) == 0 {
		return "", false
	}
	// A reply may stand in a fence.
	if last := len(rows) - 1; last > 0 && strings.HasPrefix(strings.TrimSpace(rows[last]), "```") {
		rows = rows[:last]
	}
	return bare(rows[len(rows)-1]), len(rows) == 1
}

// replyKey returns the value of a key of the JSON object that a reply is.
func replyKey(reply, key string) (string, bool) {
	raw, ok := findJSON(spoken(reply))
	if !ok {
		return "", false
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return "", false
	}
	var text string
	if value, ok := object[key]; !ok || string(value) == "null" {
		return "", false
	} else if json.Unmarshal(value, &text) != nil {
		text = string(value)
	}
	return strings.TrimSpace(text), true
}

// parseScore returns the score in [0,1] of a reply: a number alone, a last line such as
// "Score: 7", or a JSON object with the key score. Anything else is an error, because a
// guess would be a wrong score.
func parseScore(reply string, scale float64) (float64, error) {
	line, only := lastLine(reply)
	if value, ok := replyKey(reply, "score"); ok {
		line, only = value, true
	}
	m := scoreLine.FindStringSubmatch(line)
	if m == nil && only {
		m = scoreAlone.FindStringSubmatch(line)
	}
	if m == nil {
		return 0, errors.New(`the reply of the judge has no score: want a last line such as "Score: 0.5"`)
	}
	if m[2] != "" && m[2] != strconv.FormatFloat(scale, 'g', -1, 64) {
		return 0, fmt.Errorf("the reply of the judge is on a scale to %s, not to %g", m[2], scale)
	}
	score, err := strconv.ParseFloat(m[1], 64)
	if err != nil || !(score >= 0 && score <= scale) {
		return 0, fmt.Errorf("the score in the reply of the judge is outside [0, %g]", scale)
	}
	return score / scale, nil
}

// parseWinner returns 1 if a reply says that the answer won, ½ for a tie, else 0.
func parseWinner(reply string, first bool) (float64, error) {
	line, only := lastLine(reply)
	for _, key := range []string{"verdict", "winner"} {
		if value, ok := replyKey(reply, key); ok {
			line, only = value, true
		}
	}
	m := winnerLine.FindStringSubmatch(line)
	if m == nil && only {
		m = winnerAlone.FindStringSubmatch(line)
	}
	if m == nil {
		return 0, errors.New(`the reply of the judge has no verdict: want a last line "Verdict: A", "Verdict: B" or "Verdict: tie"`)
	}
	switch strings.ToUpper(m[1]) {
	case "TIE":
		return 0.5, nil
	case "A":
		if first {
			return 1, nil
		}
		return 0, nil
	}
	if first {
		return 0, nil
	}
	return 1, nil
}
