package agreement

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/phrase"
	"github.com/carrot-router/carrot/internal/textfile"
)

// Label is the score that a person gave an answer.
type Label struct {
	ID, Model string
	Annotator string // "" if the file has no such column
	Score     float64
	Weight    float64 // 1 over the probability that the answer was chosen for a label; 1 if the file has neither
	Line      int
}

// Columns of a file of human labels.
var labelColumns = []string{"id", "model", "score", "annotator", "weight", "probability"}

const hintLabels = "the header is id,model,score, and optionally annotator, and weight or probability"

// ReadLabels reads a CSV file of human labels. Its errors about the file's content are
// of type *[dataset.FormatError].
func ReadLabels(ctx context.Context, r io.Reader, name string) ([]Label, error) {
	labels, err := readLabels(ctx, r, name)
	return labels, formatError(err)
}

// formatError makes an error about a text file one about a file of a data set.
func formatError(err error) error {
	if e, ok := errors.AsType[*textfile.Error](err); ok {
		return (*dataset.FormatError)(e)
	}
	return err
}

func readLabels(ctx context.Context, r io.Reader, name string) ([]Label, error) {
	lines, err := textfile.NewReader(ctx, r, name)
	if err != nil {
		return nil, err
	}
	c := textfile.NewCSV(lines)
	header, err := c.Header(hintLabels)
	if err != nil {
		return nil, err
	}
	at := map[string]int{}
	for i, column := range header {
		column = strings.TrimSpace(column)
		if !slices.Contains(labelColumns, column) {
			return nil, c.Fault("", fmt.Sprintf("unknown column %s", textfile.Quote(column)), hintLabels)
		}
		if _, twice := at[column]; twice {
			return nil, c.Fault("", fmt.Sprintf("column %q appears twice", column), hintLabels)
		}
		at[column] = i
	}
	for _, column := range labelColumns[:3] {
		if _, ok := at[column]; !ok {
			return nil, c.Fault("", fmt.Sprintf("column %q is missing", column), hintLabels)
		}
	}
	_, weighted := at["weight"]
	if _, ok := at["probability"]; ok && weighted {
		return nil, c.Fault("", `columns "weight" and "probability" are both there`, "keep one: a weight is 1 over the probability that the row was chosen")
	}
	type key struct{ id, model, annotator string }
	seen := map[key]int{}
	type row struct{ id, model string }
	weights := map[row]Label{}
	var all []Label
	err = c.Records(len(header), func(bad *textfile.Error) error { return bad }, func(fields [][]byte) error {
		text := func(column string) string {
			if i, ok := at[column]; ok {
				return string(fields[i])
			}
			return ""
		}
		l := Label{ID: text("id"), Model: text("model"), Annotator: strings.TrimSpace(text("annotator")), Weight: 1, Line: c.First()}
		for _, column := range []string{"id", "model"} {
			if text(column) == "" {
				return c.Fault(column, "is empty", "")
			}
		}
		var err error
		if l.Score, err = strconv.ParseFloat(strings.TrimSpace(text("score")), 64); err != nil || !(l.Score >= 0 && l.Score <= 1) {
			return c.Fault("score", fmt.Sprintf("%s is not a number from 0 to 1", textfile.Quote(text("score"))), "leave out the row of an answer that was not scored")
		}
		if weighted {
			if l.Weight, err = strconv.ParseFloat(strings.TrimSpace(text("weight")), 64); err != nil || !(l.Weight > 0 && l.Weight < 1e12) {
				return c.Fault("weight", fmt.Sprintf("%s is not a number above 0", textfile.Quote(text("weight"))), "")
			}
		} else if _, ok := at["probability"]; ok {
			p, err := strconv.ParseFloat(strings.TrimSpace(text("probability")), 64)
			if err != nil || !(p > 1e-12 && p <= 1) {
				return c.Fault("probability", fmt.Sprintf("%s is not a number above 0 and at most 1", textfile.Quote(text("probability"))), "")
			}
			l.Weight = 1 / p
		}
		k := key{l.ID, l.Model, l.Annotator}
		if before, twice := seen[k]; twice {
			return c.Fault("", fmt.Sprintf("the answer of %s to %s has a score by the same annotator on line %d", textfile.Quote(l.Model), textfile.Quote(l.ID), before), "name who scored in a column annotator, or keep one of the rows")
		}
		seen[k] = l.Line
		if before, ok := weights[row{l.ID, l.Model}]; ok && before.Weight != l.Weight {
			return c.Fault("", fmt.Sprintf("the answer has another weight on line %d", before.Line), "an answer is chosen once, whoever scores it")
		}
		weights[row{l.ID, l.Model}] = l
		all = append(all, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, &textfile.Error{File: name, Reason: "has no rows", Hint: hintLabels}
	}
	return all, nil
}

// Judgement is a line of judgements.jsonl: what a judge said of an answer.
type Judgement struct {
	ID     string   `json:"id"`
	Model  string   `json:"model"`
	Repeat int      `json:"repeat"`
	Score  *float64 `json:"score"` // null: not judged
	Final  string   `json:"final"`
	Votes  []Vote   `json:"votes"`
}

// ReadJudgements calls fn with each line of a judgements.jsonl file. Its errors about the
// file's content are of type *[dataset.FormatError].
func ReadJudgements(ctx context.Context, r io.Reader, name string, fn func(Judgement) error) error {
	lines, err := textfile.NewReader(ctx, r, name)
	if err != nil {
		return formatError(err)
	}
	return formatError(lines.Lines(func(text []byte) error {
		if bad := lines.CheckUTF8(text); bad != nil {
			return bad
		}
		var j Judgement
		d := json.NewDecoder(bytes.NewReader(text))
		if err := d.Decode(&j); err != nil {
			return lines.Fault("", "is not a judgement: "+phrase.JSON(err).Error(), `a line is such as {"id":"1","model":"m","repeat":0,"score":1,"final":"B"}`)
		}
		if d.More() {
			return lines.Fault("", "text follows the JSON object", "write one JSON object a line")
		}
		if j.ID == "" {
			return lines.Fault("id", "is missing or empty", "")
		}
		if j.Model == "" {
			return lines.Fault("model", "is missing or empty", "")
		}
		if j.Score != nil && !(*j.Score >= 0 && *j.Score <= 1) {
			return lines.Fault("score", fmt.Sprintf("%g is outside [0,1]", *j.Score), "")
		}
		for i, v := range j.Votes {
			if !(v.Score >= 0 && v.Score <= 1) {
				return lines.Fault(fmt.Sprintf("votes[%d].score", i), fmt.Sprintf("%g is outside [0,1]", v.Score), "")
			}
		}
		return fn(j)
	}))
}
