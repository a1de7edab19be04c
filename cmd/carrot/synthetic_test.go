package main

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/carrot-router/carrot/dataset"
)

// A data set invented for the tests: five kinds of prompts, and four models that are
// good at different ones. It is written without package dataset, as another program
// would write it.

// syntheticSource is one kind of prompt. skill is each model's chance of a good
// answer, and length is the mean of its output tokens.
type syntheticSource struct {
	name   string
	prompt func(r *rand.Rand) string
	skill  [4]float64
	length float64
}

var syntheticModels = []map[string]any{
	{"name": "acme-large", "input_usd_per_million": 3, "output_usd_per_million": 15, "pool": true},
	{"name": "acme-small", "input_usd_per_million": 0.15, "output_usd_per_million": 0.6, "pool": true},
	{"name": "coder-7b", "input_usd_per_million": 0.2, "output_usd_per_million": 0.2, "pool": true},
	{"name": "atlas-mini", "input_usd_per_million": 0.3, "output_usd_per_million": 0.3, "pool": true},
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

var syntheticSources = []syntheticSource{
	{"sums", func(r *rand.Rand) string {
		return fmt.Sprintf("%s has %d %s and buys %d more at %d coins each. How many coins are spent, and how many %[3]s are there?",
			pick(r, "Ada", "Bo", "Cleo", "Dov"), 2+r.IntN(90), pick(r, "apples", "nails", "stamps", "pencils"), 2+r.IntN(90), 2+r.IntN(30))
	}, [4]float64{.93, .85, .55, .30}, 90},
	{"capitals", func(r *rand.Rand) string {
		return fmt.Sprintf("The country of %s%s has %d provinces, a river to the %s and a port. What is its capital city, and which country lies to the %s?",
			pick(r, "Vor", "Zem", "Ul", "Kas", "Ner"), pick(r, "andia", "burg", "istan", "mark"), 3+r.IntN(40),
			pick(r, "north", "south", "east", "west"), pick(r, "north", "south", "east", "west"))
	}, [4]float64{.92, .50, .30, .90}, 40},
	{"code", func(r *rand.Rand) string {
		return fmt.Sprintf("Write a function %s_%s(values) in %s that returns the %s of a list of %d integers; return an error if the list is empty.",
			pick(r, "find", "get", "compute"), pick(r, "max", "median", "mode", "range"), pick(r, "Python", "Go", "Rust", "C"),
			pick(r, "largest element", "median", "most frequent value", "sorted copy"), 2+r.IntN(500))
	}, [4]float64{.90, .35, .90, .20}, 220},
	{"words", func(r *rand.Rand) string {
		return fmt.Sprintf("Spell the word '%s%s%s' backwards and count its vowels. Answer in %d words.",
			pick(r, "car", "mar", "pla", "tor", "win"), pick(r, "ro", "ke", "ne", "ti"), pick(r, "t", "ter", "nds", "ling"), 3+r.IntN(20))
	}, [4]float64{.88, .75, .35, .50}, 30},
	{"dates", func(r *rand.Rand) string {
		return fmt.Sprintf("If the %d of %s %d is a %s, which weekday is it %d days later?", 1+r.IntN(28),
			pick(r, "March", "June", "October", "December"), 1900+r.IntN(150), pick(r, "Monday", "Thursday", "Sunday"), 1+r.IntN(300))
	}, [4]float64{.90, .40, .50, .82}, 60},
}

// synthetic writes the data set, or some of its sources:
// synthetic DIR [SOURCE…]
func synthetic(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: synthetic dir [source...]")
	}
	ts.Check(writeSynthetic(ts.MkAbs(args[0]), args[1:]))
}

func writeSynthetic(dir string, only []string) error {
	const perSource = 60
	r := rand.New(rand.NewPCG(1, 2))
	var queries, outcomes bytes.Buffer
	outcomes.WriteString("id,model,score,input_tokens,output_tokens\n")
	seen := map[string]bool{}
	for _, source := range syntheticSources {
		keep := len(only) == 0 || slices.Contains(only, source.name)
		for i := range perSource {
			prompt := source.prompt(r)
			for seen[prompt] {
				prompt = source.prompt(r)
			}
			seen[prompt] = true
			id := fmt.Sprintf("%s/%d", source.name, i)
			rows := syntheticOutcomes(r, source, id, len(prompt)/4)
			if !keep {
				continue
			}
			line, err := json.Marshal(map[string]string{"id": id, "split": splitOf(prompt), "source": source.name, "prompt": prompt})
			if err != nil {
				return err
			}
			queries.Write(append(line, '\n'))
			outcomes.WriteString(rows)
		}
	}
	models, err := json.MarshalIndent(syntheticModels, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for name, data := range map[string][]byte{"queries.jsonl": queries.Bytes(), "outcomes.csv": outcomes.Bytes(), "models.json": models} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// syntheticOutcomes makes the rows of one query. Sometimes the last model has none.
func syntheticOutcomes(r *rand.Rand, source syntheticSource, id string, inputTokens int) string {
	var out bytes.Buffer
	for m, skill := range source.skill {
		score := 0
		if r.Float64() < skill {
			score = 1
		}
		tokens := 1 + int(source.length*math.Exp(0.4*r.NormFloat64()))
		if m == 3 && r.IntN(30) == 0 {
			continue
		}
		fmt.Fprintf(&out, "%s,%s,%d,%d,%d\n", id, syntheticModels[m]["name"], score, inputTokens, tokens)
	}
	return out.String()
}

// splitOf returns the split of a prompt, by its md5 modulo 100.
func splitOf(prompt string) string {
	sum := md5.Sum([]byte(prompt))
	switch n := new(big.Int).Mod(new(big.Int).SetBytes(sum[:]), big.NewInt(100)).Int64(); {
	case n < 70:
		return "train"
	case n < 80:
		return "validation"
	}
	return "test"
}

// sproutAnswer is the struct column of one model in SPROUT's Parquet files.
type sproutAnswer struct {
	Response string  `parquet:"response"`
	Score    float64 `parquet:"score"`
	In       int64   `parquet:"num_input_tokens"`
	Out      int64   `parquet:"num_output_tokens"`
}

type sproutRow struct {
	Key     int64         `parquet:"key"`
	Dataset string        `parquet:"dataset"`
	Level   string        `parquet:"dataset_level"`
	Idx     int64         `parquet:"dataset_idx"`
	Prompt  string        `parquet:"prompt"`
	Golden  string        `parquet:"golden_answer"`
	Large   sproutAnswer  `parquet:"acme-large"`
	Mini    *sproutAnswer `parquet:"openai-gpt-4o-mini,optional"`
}

// sproutFile writes a Parquet file with SPROUT's schema and N rows. Every seventh
// has no second model: sprout FILE FIRSTKEY N [bad]
func sproutFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: sprout file first-key rows [bad]")
	}
	var first, n int
	_, err := fmt.Sscan(args[1]+" "+args[2], &first, &n)
	ts.Check(err)
	ts.Check(writeSPROUT(ts.MkAbs(args[0]), first, n, len(args) == 4))
}

func writeSPROUT(path string, first, n int, bad bool) error {
	rows := make([]sproutRow, n)
	for i := range rows {
		k := int64(first + i)
		rows[i] = sproutRow{Key: k, Dataset: "sums", Level: fmt.Sprint("level ", 1+k%2), Idx: k, Golden: fmt.Sprint(2 * k),
			Prompt: fmt.Sprintf("What is %d + %d?", k, k), Large: sproutAnswer{"…", 1, 10, 20}}
		if k%7 != 3 {
			rows[i].Mini = &sproutAnswer{"…", float64(k%5) / 4, 10, 30}
		}
	}
	if bad {
		rows[1].Large.Score = 1.2
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return parquet.WriteFile(path, rows)
}

var syntheticDir = flag.String("synthetic", "", "folder to write the invented data set to")

// TestSyntheticData writes the invented data set to a folder for other programs:
// go test ./cmd/carrot -run TestSyntheticData -synthetic DIR.
func TestSyntheticData(t *testing.T) {
	dir := *syntheticDir
	if dir == "" {
		dir = t.TempDir()
	}
	if err := writeSynthetic(dir, nil); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range set.Queries {
		if want := dataset.SplitOf(q.Prompt); q.Split != want {
			t.Errorf("query %s is marked %s, package dataset says %s", q.ID, q.Split, want)
		}
	}
}
