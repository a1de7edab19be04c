package rivals

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/carrot-router/carrot"
)

// Complexity is the embedder of LiteLLM's complexity router: seven features of
// the text, none of them learnt, in the order of complexityWeights. It
// understands English only. The lists of words are our own, of the same kinds.
type Complexity struct{}

// complexityWeights are LiteLLM's: length, code, reasoning, technical terms,
// simple questions, steps, many questions.
var complexityWeights = [...]float32{0.10, 0.30, 0.25, 0.25, 0.05, 0.03, 0.02}

var (
	codeWords = strings.Fields("function class method variable return import export async await try catch exception error debug api endpoint request query " +
		"database sql schema algorithm implement refactor compile python javascript typescript java rust golang html css react docker kubernetes git commit regex")
	reasoningWords = strings.Split("step by step,think through,let us think,let's think,reason about,analyze,break down,explain why,show your work,"+
		"prove,derive,evaluate,pros and cons,compare and contrast,weigh,logically,deduce,infer,conclude,justify", ",")
	technicalWords = strings.Split("architecture,distributed,scalable,microservice,encryption,authentication,performance,latency,throughput,benchmark,"+
		"concurrency,parallel,thread,memory,cpu,gpu,optimization,protocol,tcp,http,grpc,container,orchestration,machine learning,neural network,deep learning", ",")
	simpleWords = strings.Split("what is,what's,define,definition of,who is,who was,when did,when was,where is,where was,how many,how much,"+
		"yes or no,true or false,hello,hi,hey,thanks,thank you,goodbye,briefly", ",")
	steps = regexp.MustCompile(`(?is)first.*?then|step\s*\d|\d+\.\s|\b[a-z]\)\s`)
)

// ID names the embedder.
func (Complexity) ID() string { return "complexity/1" }

// Embed writes the features of each text.
func (Complexity) Embed(ctx context.Context, texts []string, dst []carrot.Representation) error {
	for i, text := range texts {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		dst[i] = carrot.Representation{Dense: append(dst[i].Dense[:0], complexityOf(text)...)}
	}
	return nil
}

func complexityOf(text string) []float32 {
	lower := strings.ToLower(text)
	f := make([]float32, len(complexityWeights))
	switch tokens := len(text) / 4; {
	case tokens < 15:
		f[0] = -1
	case tokens > 400:
		f[0] = 1
	}
	step := func(n int, from, to int, low float32) float32 {
		switch {
		case n >= to:
			return 1
		case n >= from:
			return low
		}
		return 0
	}
	f[1] = step(occurring(lower, codeWords), 1, 2, 0.5)
	f[2] = step(occurring(lower, reasoningWords), 1, 2, 0.7)
	f[3] = step(occurring(lower, technicalWords), 2, 4, 0.5)
	if occurring(lower, simpleWords) > 0 {
		f[4] = -1
	}
	if steps.MatchString(text) {
		f[5] = 0.5
	}
	if strings.Count(text, "?") > 3 {
		f[6] = 0.5
	}
	return f
}

// occurring counts the words of a list that occur in the text as whole words.
func occurring(text string, list []string) int {
	n := 0
	for _, word := range list {
		for from := 0; ; {
			at := strings.Index(text[from:], word)
			if at < 0 {
				break
			}
			start, end := from+at, from+at+len(word)
			if !letterBefore(text[:start]) && !letterAfter(text[end:]) {
				n++
				break
			}
			from = end
		}
	}
	return n
}

func letterBefore(s string) bool {
	return s != "" && (s[len(s)-1] == '_' || unicode.IsLetter(rune(s[len(s)-1])) || unicode.IsDigit(rune(s[len(s)-1])))
}

func letterAfter(s string) bool {
	return s != "" && (s[0] == '_' || unicode.IsLetter(rune(s[0])) || unicode.IsDigit(rune(s[0])))
}

// tier is LiteLLM's complexity router: the weighted sum of the features falls
// into one of four tiers, and two marks of reasoning always make it the last. A
// model's worth and cost in a tier are its means over the training queries
// there, where LiteLLM's users configure one model for each tier.
type tier struct {
	Borders     [3]float32
	Score, Cost []float64 // 4×M
}

func tiers(int) []model {
	return []model{
		&tier{Borders: [3]float32{0.15, 0.35, 0.60}},
		&tier{Borders: [3]float32{0.05, 0.20, 0.45}},
		&tier{Borders: [3]float32{-0.05, 0.05, 0.20}},
		&tier{Borders: [3]float32{-0.10, 0, 0.10}},
		&tier{Borders: [3]float32{-0.05, 0.15, 0.35}},
	}
}

func (t *tier) String() string {
	return fmt.Sprintf("borders=%g/%g/%g", t.Borders[0], t.Borders[1], t.Borders[2])
}

func (t *tier) of(x []float32) int {
	if len(x) != len(complexityWeights) {
		return 0
	}
	if x[2] == 1 {
		return 3
	}
	var sum float32
	for k, w := range complexityWeights {
		sum += w * x[k]
	}
	at, _ := slices.BinarySearch(t.Borders[:], sum)
	if at < 3 && sum == t.Borders[at] {
		at++
	}
	return at
}

func (t *tier) fit(_ context.Context, d *Data) error {
	if d.dense.Cols != len(complexityWeights) {
		return fmt.Errorf("complexity: vectors of length %d, want the %d features of its own embedder", d.dense.Cols, len(complexityWeights))
	}
	m := len(d.Models)
	tierOf := make([]int, len(d.X))
	for i := range d.X {
		tierOf[i] = t.of(d.X[i].Dense)
	}
	means := func(table, fallback []float64) []float64 {
		sum, count := make([]float64, 4*m), make([]float64, 4*m)
		for i, at := range tierOf {
			for j, v := range table[i*m:][:m] {
				if !math.IsNaN(v) {
					sum[at*m+j], count[at*m+j] = sum[at*m+j]+v, count[at*m+j]+1
				}
			}
		}
		for k := range sum {
			if sum[k] /= count[k]; count[k] == 0 {
				sum[k] = fallback[k%m]
			}
		}
		return sum
	}
	t.Score, t.Cost = means(d.Score, d.meanScore), means(d.CostUSD, d.meanCost)
	return nil
}

func (t *tier) forecast(x *carrot.Representation, _ *workspace, out []carrot.Forecast) bool {
	at := t.of(x.Dense)
	for j := range out {
		out[j] = static(t.Score[at*len(out)+j], t.Cost[at*len(out)+j])
	}
	return false
}
