package main

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goTypes matches what errors of Go's packages say about types.
var goTypes = regexp.MustCompile(`\bGo (value|struct)|of type |strconv\.|\b(u?int|float)(8|16|32|64)?\b|\d+ bit|\(string\)|map\[|interface|\*[a-z]+\.|<nil>`)

// TestErrorsNameNoTypes: readers of files and flags answer values of a wrong type in
// words that name no type of Go.
func TestErrorsNameNoTypes(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var commands []string
	for _, value := range []string{`7`, `"x"`, `[1]`, `{"a":1}`, `true`, `-1.5`} {
		name := strings.NewReplacer(`"`, "", "[", "l", "]", "", "{", "o", "}", "", ":", "").Replace(value)
		write(name+"/queries.jsonl", `{"id":`+value+`,"prompt":"x"}`+"\n")
		write(name+"/outcomes.csv", "id,model,score,input_tokens,output_tokens\n")
		write(name+"/models.json", `[{"name":"m","input_usd_per_million":1,"output_usd_per_million":1}]`)
		write(name+"-model/queries.jsonl", `{"id":"a","prompt":"x"}`+"\n")
		write(name+"-model/outcomes.csv", "id,model,score,input_tokens,output_tokens\na,m,"+value+",1,1\n")
		write(name+"-model/models.json", `[{"name":`+value+`,"input_usd_per_million":`+value+`,"output_usd_per_million":1,"pool":`+value+`}]`)
		write(name+"-price.json", `{"schema":"carrot.prices/1","unit":"USD per million tokens","models":[{"name":`+value+`,"input":`+value+`,"output":1,"date":`+value+`,"source":"s"}]}`)
		write(name+"-book.json", `{"schema":`+value+`,"unit":1,"models":`+value+`}`)
		write(name+".jsonl", `{"id":`+value+`,"prompt":`+value+`,"model":`+value+`,"score":`+value+`}`+"\n")
		write(name+"-batch.jsonl", `{"id":`+value+`,"prompt":`+value+`}`+"\n")
		write(name+".yaml", "score: "+value+"\nprompt: "+value+"\n")
		write(name+"-serve.yaml", "listen: "+value+"\nproviders: "+value+"\nmodels: "+value+"\nretry: "+value+"\n")
		write(name+"-arena.json", `[{"global index":`+value+`,"prompt":`+value+`,"prediction":`+value+`,"cost":`+value+`}]`)
		write(name+"-report.json", `{"schema":`+value+`}`)
		write(name+"-bert/config.json", `{"hidden_size":`+value+`,"vocab_size":`+value+`}`)
		write(name+"-bert/tokenizer.json", `{"model":`+value+`,"normalizer":`+value+`}`)
		write(name+"-bert/tokenizer_config.json", `{"unk_token":`+value+`}`)
		for _, format := range []string{"table", "litellm", "openai-batch", "open-llm", "llmrouter"} {
			commands = append(commands, "data import "+format+" "+name+".jsonl out")
		}
		commands = append(commands, "data check "+name, "data check "+name+"-model", "data describe "+name+"-model", "price check "+name+"-price.json", "price check "+name+"-book.json",
			"route --batch "+name+"-batch.jsonl", "data import table --columns "+name+".yaml "+name+".jsonl out", "serve --check --config "+name+"-serve.yaml",
			"arena "+name+"-arena.json", "route --format routerarena --batch "+name+"-arena.json", "eval --data "+name+"-model --out-of-domain "+name+"-report.json",
			"route --embedder bert:"+name+"-bert hi", "embed check "+name+"-price.json", "inspect "+name+"-price.json")
	}
	for _, flag := range []string{"train --caution", "train --seed", "eval --bootstrap", "eval --folds", "data check --limit", "embed distill --dim", "embed distill --smoothing", "theory --seed", "price set --input", "data import --column"} {
		for _, value := range []string{"x", "1.5x", "-1", "=-1", "="} {
			if rest, ok := strings.CutPrefix(value, "="); ok {
				commands = append(commands, flag+"="+rest)
			} else {
				commands = append(commands, flag+" "+value)
			}
		}
	}
	for _, command := range commands {
		var out, errs bytes.Buffer
		run(t.Context(), strings.Fields(command), terminal{strings.NewReader(""), &out, &errs})
		if found := goTypes.FindString(errs.String()); found != "" {
			t.Errorf("carrot %s: the error names a type (%s): %s", command, found, &errs)
		}
		os.RemoveAll("out")
	}
}

// TestBatchIDs: an id of a batch may be a text or a number.
func TestBatchIDs(t *testing.T) {
	for _, tt := range []struct{ id, want string }{
		{`7`, `"id":"7"`}, {`"7"`, `"id":"7"`}, {`-1.50`, `"id":"-1.50"`}, {`12345678901234567890`, `"id":"12345678901234567890"`}, {`null`, `"model"`},
		{`true`, "field id: want a text or a number"}, {`[1]`, "field id: want a text or a number"}, {`{}`, "field id: want a text or a number"},
	} {
		var out, errs bytes.Buffer
		run(t.Context(), []string{"route", "--batch", "-"}, terminal{strings.NewReader(`{"id":` + tt.id + `,"prompt":"hello"}`), &out, &errs})
		if !strings.Contains(out.String()+errs.String(), tt.want) {
			t.Errorf("id %s: %.80s %s, want %s", tt.id, &out, &errs, tt.want)
		}
	}
}

// TestWritten: an interrupted command says what it had written.
func TestWritten(t *testing.T) {
	c := &checkedWriter{w: new(bytes.Buffer)}
	if got := c.written(); got != "nothing was written" {
		t.Error(got)
	}
	c.Write([]byte("{}\n{}"))
	if got := c.written(); got != "written: 1 line to standard output" {
		t.Error(got)
	}
	c.Write([]byte("\n"))
	wrote(c, "r.safetensors")
	wrote(c, "-")
	if got := c.written(); got != "written: 2 lines to standard output, r.safetensors" {
		t.Error(got)
	}
}

func TestPlainUsage(t *testing.T) {
	for _, tt := range []struct{ kong, want string }{
		{`--caution: expected a float but got "x" (string)`, `--caution: want a number, not "x"`},
		{`--seed: expected a valid 64 bit uint but got "x"`, `--seed: want a whole number from 0, not "x"`},
		{`--folds: expected a valid 64 bit int but got "1.5"`, `--folds: want a whole number, not "1.5"`},
		{`--seed: expected uint value but got "-1" (short flag); perhaps try --seed="-1"?`, `--seed: want a whole number from 0, not "-1"`},
		{`--demo: bool value must be true, 1, yes, false, 0 or no but got "x"`, `--demo: want true or false, not "x"`},
		{`unknown flag --x`, `unknown flag --x`},
	} {
		if got := plainUsage(errors.New(tt.kong)).Error(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// neverOne lists the format strings with a plural whose number is a limit or is never
// one for another reason, by a part of them.
var neverOne = []string{"longer than %d", "more than", "the limit of", "than fit into", "%d ids, want", "representations", "of the %d", "%d bytes", "max ", "to %d", "of %d", "%d texts",
	"%d rows, %d", "cents each", "boxes of", "hours", "kilometres", "%d days", "want at least", "tensor", "too few", "%d values", "%d buckets", "landmarks", "%d candidates"}

// countAndPlural matches a number with a plural after it in a format string.
var countAndPlural = regexp.MustCompile(`%d (?:[a-z]+ )?(queries|models|outcomes|rows|prices|providers|policies|lines|prompts|files|folds|sources|groups|attempts|tries|slopes|fields)\b`)

// TestPlurals: what commands print counts through phrase.Count, so that one is not
// "1 queries".
func TestPlurals(t *testing.T) {
	for _, folder := range []string{".", "../../dataset", "../../train", "../../internal/importer", "../../internal/arena", "../../internal/theory", "../../internal/textfile", "../../embed", "../../price"} {
		files, err := fs.Glob(os.DirFS(folder), "*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(folder, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, filepath.Join(folder, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING || !countAndPlural.MatchString(lit.Value) {
					return true
				}
				for _, part := range neverOne {
					if strings.Contains(lit.Value, part) {
						return true
					}
				}
				t.Errorf("%s: %s: count with phrase.Count", set.Position(lit.Pos()), lit.Value)
				return true
			})
		}
	}
}

// TestStyledOff: without a terminal nothing is coloured.
func TestStyledOff(t *testing.T) {
	var b bytes.Buffer
	t.Setenv("TERM", "xterm")
	if err := printStyled(&b, "model  x\n→ a\n", headed("model ")); err != nil || b.String() != "model  x\n→ a\n" {
		t.Errorf("%q, %v", &b, err)
	}
	if got := styled(&b, "warning:", styleWarning); got != "warning:" {
		t.Errorf("%q", got)
	}
}
