package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/judge"
)

// tally counts answers on which a judge and a recorded score agree.
type tally struct{ same, higher, lower, unjudged int }

func (t *tally) add(got judge.Verdict, err error, want float64) {
	switch {
	case err != nil:
		t.unjudged++
	case got.Score == want:
		t.same++
	case got.Score > want:
		t.higher++
	default:
		t.lower++
	}
}

// zeroEval compares the judge of numbers with the recorded scores of a data folder, on
// the answers in a clone of ZeroEval's repository.
func zeroEval(ctx context.Context, w io.Writer, clone, data string) error {
	set, err := dataset.Load(ctx, data)
	if err != nil {
		return err
	}
	rows := map[string]int{}
	for i, q := range set.Queries {
		rows[q.ID] = i
	}
	number, err := judge.New(judge.Config{Kind: "number"}, judge.Options{})
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "benchmark\tmodel\tsame score\thigher\tlower\tnot judged")
	for _, benchmark := range []string{"gsm", "math-l5"} {
		for j, m := range set.Models {
			text, err := os.ReadFile(filepath.Join(clone, "result_dirs", benchmark, m.Name+".json"))
			if os.IsNotExist(err) {
				continue
			} else if err != nil {
				return err
			}
			var items []struct {
				ID     any
				Output []string
				Answer string
			}
			if err := json.Unmarshal(text, &items); err != nil {
				return fmt.Errorf("%s, %s: %w", benchmark, m.Name, err)
			}
			var count tally
			for _, it := range items {
				i, ok := rows[benchmark+"/"+fmt.Sprint(it.ID)]
				if !ok || math.IsNaN(set.Score.At(i, j)) || len(it.Output) == 0 {
					continue
				}
				v, err := number.Judge(ctx, judge.Item{Reference: strings.TrimLeft(it.Answer, "# "), Answer: it.Output[0]})
				count.add(v, err, set.Score.At(i, j))
			}
			fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\n", benchmark, m.Name, count.same, count.higher, count.lower, count.unjudged)
		}
	}
	return t.Flush()
}

// mmluPro compares the judge of letters with the letters that MMLU-Pro's own script
// extracted, on every fifth answer in a clone of its repository.
func mmluPro(ctx context.Context, w io.Writer, clone string) error {
	files, err := filepath.Glob(filepath.Join(clone, "eval_results", "*.zip"))
	if err != nil {
		return err
	}
	choice, err := judge.New(judge.Config{Kind: "choice"}, judge.Options{})
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "file\tsame letter\tanother\tonly the script\tonly the judge\tnot judged")
	for _, name := range files {
		archive, err := zip.OpenReader(name)
		if err != nil {
			fmt.Fprintf(os.Stderr, "judges: left out %s: %v\n", name, err)
			continue
		}
		var same, other, script, ours, unjudged int
		for _, file := range archive.File {
			if !strings.HasSuffix(file.Name, ".json") || strings.Contains(file.Name, "__MACOSX") {
				continue
			}
			f, err := file.Open()
			if err != nil {
				return err
			}
			var items []struct {
				Options []string
				Answer  string
				Pred    *string
				Outputs string `json:"model_outputs"`
				Text    string `json:"generated_text"`
			}
			err = json.NewDecoder(f).Decode(&items)
			f.Close() // only read from
			if err != nil {
				fmt.Fprintf(os.Stderr, "judges: left out %s: %v\n", file.Name, err)
				continue
			}
			for i := 0; i < len(items); i += 5 {
				it := items[i]
				v, err := choice.Judge(ctx, judge.Item{Reference: it.Answer, Answer: it.Outputs + it.Text, Choices: it.Options})
				switch {
				case err != nil:
					unjudged++
				case it.Pred == nil && v.Final == "", it.Pred != nil && v.Final == *it.Pred:
					same++
				case it.Pred == nil:
					ours++
				case v.Final == "":
					script++
				default:
					other++
				}
			}
		}
		archive.Close() // only read from
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\n", filepath.Base(name), same, other, script, ours, unjudged)
	}
	return t.Flush()
}
