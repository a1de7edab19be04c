package simulate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/dataset"
)

// Recorded answers prompts of a data set with what its models did when it was recorded.
// See [NewRecorded].
type Recorded struct {
	set   *dataset.Set
	rows  map[string][]int // of the queries with a prompt
	cols  map[string]int
	texts map[[2]int]recordedText
	judge string
}

// recordedText is a recorded answer.
type recordedText struct {
	text   string
	finish string
}

// NewRecorded returns the answers of a data set. For the outcome of a query and a model,
// the answer has the recorded tokens and the text
//
//	Simulated answer of MODEL.
//	score=SCORE
//	answer=HASH
//
// with the recorded score, and the hash of the final answer, which is empty if there is
// none. An outcome that was not observed is a failure with status 500, and so is a prompt
// that is not in the set. After the prompt, there may be up to 100 further lines. If several
// queries have the prompt, the first one that was observed counts.
//
// judge, unless it is empty or one of the models, is the name of a model that judges: asked
// with such an answer in the prompt, it answers the last score in it.
func NewRecorded(set *dataset.Set, judge string) *Recorded {
	r := &Recorded{set: set, rows: map[string][]int{}, cols: map[string]int{}, judge: judge}
	for i, q := range set.Queries {
		r.rows[q.Prompt] = append(r.rows[q.Prompt], i)
	}
	for j, m := range set.Models {
		r.cols[m.Name] = j
	}
	return r
}

// judgePrice is what a simulated judge costs.
var judgePrice = carrot.Price{Input: carrot.PerMillion(0.15), Output: carrot.PerMillion(0.6)}

// Models returns the models of the data set with its prices, and the judge. Models
// without a price are free.
func (r *Recorded) Models() []Model {
	var models []Model
	for _, m := range r.set.Models {
		model := Model{Name: m.Name}
		if p := m.Price(); p != nil {
			model.Price = *p
		}
		models = append(models, model)
	}
	if _, taken := r.cols[r.judge]; !taken && r.judge != "" {
		models = append(models, Model{Name: r.judge, Price: judgePrice})
	}
	return models
}

// ReadTexts reads recorded answers, which then replace the text above. Each line of the
// file is a JSON object with the id of a query, a model and its answer; truncated and
// refused may be true. If there are several answers of a model to a query, the first one
// counts.
func (r *Recorded) ReadTexts(file io.Reader, name string) error {
	ids := map[string]int{}
	for i, q := range r.set.Queries {
		ids[q.ID] = i
	}
	r.texts = map[[2]int]recordedText{}
	reader := bufio.NewReader(file)
	for n := 1; ; n++ {
		line, err := reader.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			if bad := r.readText(line, ids); bad != nil {
				return fmt.Errorf("%s:%d: %w", name, n, bad)
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

func (r *Recorded) readText(line []byte, ids map[string]int) error {
	var v struct {
		ID        string  `json:"id"`
		Model     string  `json:"model"`
		Answer    *string `json:"answer"`
		Truncated bool    `json:"truncated"`
		Refused   bool    `json:"refused"`
	}
	if json.Unmarshal(line, &v) != nil || v.Answer == nil {
		return fmt.Errorf("want a JSON object with the texts id, model and answer")
	}
	i, ok := ids[v.ID]
	if !ok {
		return fmt.Errorf("id: %.100q is not in queries.jsonl", v.ID)
	}
	j, ok := r.cols[v.Model]
	if !ok {
		return fmt.Errorf("model: %.100q is not in models.json", v.Model)
	}
	t := recordedText{text: *v.Answer}
	switch {
	case v.Refused:
		t.finish = FinishRefused
	case v.Truncated:
		t.finish = FinishLength
	}
	if _, again := r.texts[[2]int{i, j}]; !again {
		r.texts[[2]int{i, j}] = t
	}
	return nil
}

// recordedScore is a score in the text of an answer.
var recordedScore = regexp.MustCompile(`(?:^|[^A-Za-z0-9_])score=([0-9.eE+-]*[0-9])`)

// Answer returns the answer of a model to a prompt. It is for [Provider.Answers].
func (r *Recorded) Answer(model, prompt string) (Reply, bool) {
	j, known := r.cols[model]
	if !known {
		scores := recordedScore.FindAllStringSubmatch(prompt, -1)
		if len(scores) == 0 {
			return Reply{Text: "The prompt has no score of a simulated answer.", Counted: true}, true
		}
		return Reply{Text: scores[len(scores)-1][1], Counted: true}, true
	}
	for _, i := range r.find(prompt) {
		if !math.IsNaN(r.set.Score.At(i, j)) {
			return r.reply(i, j), true
		}
	}
	return Reply{Status: http.StatusInternalServerError, Text: "not recorded"}, true
}

// maxFurtherLines is how many lines may follow a recorded prompt.
const maxFurtherLines = 100

// find returns the rows of the queries with a prompt, after which further lines may
// follow.
func (r *Recorded) find(prompt string) []int {
	end := len(prompt)
	for range maxFurtherLines + 1 {
		if rows := r.rows[prompt[:end]]; rows != nil {
			return rows
		}
		if end = strings.LastIndexByte(prompt[:end], '\n'); end < 0 {
			break
		}
	}
	return nil
}

func (r *Recorded) reply(i, j int) Reply {
	tokens := func(m dataset.Matrix) int {
		if m.Rows == 0 || math.IsNaN(m.At(i, j)) {
			return 0
		}
		return int(math.Round(m.At(i, j)))
	}
	reply := Reply{InputTokens: tokens(r.set.InputTokens), OutputTokens: tokens(r.set.OutputTokens)}
	reply.CachedTokens = min(tokens(r.set.CachedTokens), reply.InputTokens)
	reply.ReasoningTokens = min(tokens(r.set.ReasoningTokens), reply.OutputTokens)
	if t, ok := r.texts[[2]int{i, j}]; ok {
		reply.Text, reply.Finish = t.text, t.finish
		return reply
	}
	hash := ""
	if r.set.Answers != nil {
		hash = r.set.Answers[i][j]
	}
	score := strconv.FormatFloat(r.set.Score.At(i, j), 'f', -1, 64)
	reply.Text = "Simulated answer of " + r.set.Models[j].Name + ".\nscore=" + score + "\nanswer=" + hash + "\n"
	return reply
}
