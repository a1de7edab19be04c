// Package internal_test holds the module to its design: which package may
// import which.
package internal_test

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/carrot-router/carrot"

// rule says what a package may import beside the standard library. Names are
// of the module's own packages ("" is the root) or begin with a host. Test
// files may import what they like.
type rule struct {
	may []string
	// why the rest is kept out
	why string
}

const (
	gonum   = "gonum.org/v1/gonum"
	parquet = "github.com/parquet-go/parquet-go"
	gjson   = "github.com/tidwall/gjson"
)

var rules = map[string]rule{
	"":                               {[]string{"internal/phrase", "internal/appendjson", "internal/promise"}, "whoever imports the domain types must get nothing else with them"},
	"internal/phrase":                {nil, "words for people do not depend on what they are about"},
	"internal/appendjson":            {nil, "numbers and strings are written without knowing what they stand for"},
	"internal/promise":               {nil, "a promise is calibrated on numbers, whatever they stand for"},
	"internal/dot":                   {[]string{"golang.org/x/sys/cpu"}, "products of numbers know nothing of what the numbers are"},
	"internal/nearest":               {nil, "a heap of neighbours knows nothing of what they are neighbours of"},
	"internal/recent":                {nil, "a bounded memory knows nothing of what is remembered"},
	"internal/parallel":              {nil, "spreading a loop over processors needs nothing else"},
	"internal/atomicfile":            {nil, "replacing a file does not depend on what it holds"},
	"internal/readfile":              {nil, "reading a file with a limit does not depend on what it holds"},
	"internal/svg":                   {nil, "a chart knows nothing of what it shows"},
	"internal/safetensors":           {[]string{"internal/readfile"}, "a file format knows nothing of what is kept in it"},
	"internal/wordpiece":             {[]string{"internal/phrase", "internal/readfile", "golang.org/x/text"}, "a tokenizer knows nothing of what its tokens are used for"},
	"frontier":                       {nil, "metrics are pure functions of numbers, to be checked against any other implementation"},
	"internal/wire":                  {[]string{"", "internal/appendjson", gjson}, "formats are bytes: they know no network, no routing and no prices"},
	"record":                         {[]string{"internal/phrase", "", "internal/appendjson"}, "a record is shared by programs that make attempts, keep them and learn from them: it knows none of them"},
	"internal/journal":               {[]string{"golang.org/x/sys"}, "a queue on a disk does not know what its entries are"},
	"internal/database":              {[]string{"github.com/jackc/pgx", "github.com/pressly/goose", "modernc.org/sqlite"}, "how a database is opened does not depend on what is kept in it"},
	"internal/database/databasetest": {[]string{"github.com/jackc/pgx"}, "tests of every package that keeps something use it"},
	"internal/ledger":                {[]string{"", "internal/database", "internal/journal", "record", "github.com/klauspost/compress", parquet}, "what was spent can be looked up without the gateway that spent it"},
	"internal/keys":                  {[]string{"gateway", "internal/database", "internal/spelling"}, "who has a key can be looked up and changed without the network"},
	"internal/adminapi":              {[]string{"gateway", "internal/budget", "internal/keys"}, "an API for administrators is keys over HTTP: what it changes is not its business"},
	"internal/dashboard":             {[]string{"", "gateway", "internal/budget", "internal/keys", "internal/ledger", "internal/phrase", "internal/svg", "record", "github.com/coreos/go-oidc", "golang.org/x/oauth2"}, "what operators see is read from a ledger, or from functions that are passed: pages know no statistics"},
	"internal/budget":                {[]string{"", "gateway", "internal/database", "record"}, "what may be spent is decided from costs alone, whatever they were for"},
	"internal/responses":             {[]string{"internal/database"}, "who made a response is remembered for any gateway, as texts that it alone understands"},
	"internal/collect":               {[]string{"", "dataset", "internal/atomicfile", "internal/journal", "internal/judge", "internal/provider", "internal/spelling", "internal/strictyaml", "internal/textfile", "internal/wire", "price"}, "asking models and keeping what they answer knows neither routers that are served nor how they are trained"},
	"internal/spelling":              {nil, "suggesting a name needs nothing but names"},
	"internal/strictyaml":            {[]string{"internal/spelling", "github.com/goccy/go-yaml"}, "reading a file strictly does not depend on what the file configures"},
	"internal/agreement":             {[]string{"dataset", "internal/phrase", "internal/textfile", gonum}, "whether a judge agrees with people is a question about scores; how it judged is not its business"},
	"internal/judge":                 {[]string{"internal/readfile", "internal/strictyaml", "github.com/santhosh-tekuri/jsonschema", "golang.org/x/text"}, "an answer is scored without knowing how it was asked for: what asks a model is behind an interface"},
	"internal/provider":              {[]string{"internal/wire", "github.com/klauspost/compress", "github.com/sony/gobreaker"}, "calling a provider must not depend on who asked for the call, nor on what its answer is used for"},
	"internal/simulate":              {[]string{"", "dataset", "internal/recent", "price", "internal/wire", gjson}, "a simulated provider must not share a mistake with the gateway that is tested on it"},
	"gateway": {[]string{"", "price", "record", "internal/provider", "internal/recent", "internal/spelling", "internal/strictyaml", "internal/wire", "github.com/klauspost/compress", "github.com/prometheus/client_golang", "go.opentelemetry.io/otel"},
		"the gateway serves what was trained: it holds the keys, and neither fits nor measures nor opens artefacts; stores are behind its interfaces"},
	"price":                {[]string{"internal/phrase", "", "internal/atomicfile"}, "prices change without training, so they know nothing of data and predictors"},
	"internal/pricelist":   {[]string{"", "internal/readfile", "price"}, "other projects' price lists are read as data when someone asks for it; what bills does not depend on their forms"},
	"embed":                {[]string{"internal/phrase", "", "internal/dot", "internal/parallel", "internal/provider", "internal/readfile", "internal/safetensors", "internal/wordpiece", gonum}, "a representation, local or fetched from a provider, does not depend on what is predicted from it"},
	"predict":              {[]string{"", "internal/dot", "internal/nearest", "internal/parallel", "internal/safetensors", gonum}, "a predictor sees numbers only: no texts, no prices, no files of outcomes"},
	"dataset":              {[]string{"internal/phrase", "", "internal/atomicfile", "internal/textfile"}, "outcomes are read and written by programs that do not route"},
	"internal/exampledata": {[]string{"dataset"}, "an invented set is outcomes like any other; what is trained on them is not its business"},
	"table":                {[]string{"", "dataset", "frontier", "predict", "price"}, "outcomes are embedded and priced once, for all that is trained and measured on them"},
	"train":                {[]string{"internal/phrase", "", "artifact", "dataset", "frontier", "internal/calibration", "internal/plan", "predict", "price", "table"}, "training goes from data to a saved router; it must not depend on how routers are measured or served"},
	"internal/calibration": {[]string{"", "frontier", "table"}, "training notes the figures that evaluation reports"},
	"internal/rivals":      {[]string{"", "frontier", "internal/nearest", "internal/parallel", "internal/plan", gonum}, "a rival is fitted on the numbers a predictor sees; where they come from is not its business"},
	"internal/plan":        {[]string{"", "dataset", "frontier", "internal/agreement", "predict", "table"}, "what a plan costs and scores follows from recorded outcomes; how its columns are predicted is passed to it"},
	"eval":                 {[]string{"internal/phrase", "", "dataset", "frontier", "internal/atomicfile", "internal/calibration", "internal/parallel", "internal/plan", "internal/readfile", "internal/rivals", "internal/textfile", "predict", "price", "table", "train"}, "what is measured must not depend on how it is saved or served"},
	"internal/borrow":      {[]string{"internal/phrase", ""}, "what a model borrows follows from a table and from another's forecasts, however those are made"},
	"internal/textfile":    {[]string{"internal/phrase"}, "a reader of lines and records does not know what they hold"},
	"internal/pickle":      {nil, "a reader of pickles does not know what the table is about, and must not run anything"},
	"internal/importer":    {[]string{"dataset", "record", "internal/pickle", "internal/textfile", "internal/wire", parquet, "github.com/andybalholm/brotli", "github.com/goccy/go-yaml", "github.com/klauspost/compress", "github.com/pierrec/lz4"}, "what others publish becomes outcomes; what is trained on them is not its business"},
	"internal/arena":       {[]string{"internal/phrase", "dataset", "frontier", "internal/textfile"}, "RouterArena's files are read, written and scored without a router"},
	"internal/theory":      {[]string{"internal/phrase", "", "internal/parallel", "internal/svg"}, "a simulation of the rule must stand on nothing that could share a mistake with what it checks"},
	"internal/report":      {[]string{"eval", "frontier", "internal/spelling", "internal/svg"}, "what is shown is what was measured: a report is made from its figures alone"},
	"internal/learn":       {[]string{"artifact", "internal/offpolicy"}, "what is learnt from outcomes follows from them and from the router alone, wherever either is kept"},
	"internal/offpolicy":   {[]string{"", "record", gonum}, "what other decisions would have been worth follows from records alone, wherever they are kept"},
	"internal/whatif":      {[]string{"", "record", "internal/offpolicy"}, "what would have been follows from records alone, wherever they are kept"},
	"artifact":             {[]string{"internal/phrase", "", "predict", "price", "internal/atomicfile", "internal/borrow", "internal/readfile"}, "a router must open without the code that trained it"},
	"runs/dist":            {nil, "what ships the program reads it from outside: its modules, licences and build information"},
	"runs/memory":          {nil, "what measures the gateway talks to it as a client would, over the network"},
	"runs/capacity":        {[]string{"github.com/jackc/pgx"}, "what measures the gateway talks to it as a client would, and reads the counters of its database"},
	"runs/ledger":          {[]string{"", "artifact", "embed", "internal/database", "internal/ledger", "price", "record"}, "what measures the ledger writes to it as a gateway does"},
	"runs/collect":         {[]string{"", "dataset"}, "what checks the collection of a set runs the program as a user would"},
	"runs/newmodel":        {[]string{"", "dataset", "embed", "frontier", "internal/collect", "internal/parallel", "predict", "table"}, "a new model is added to what training makes, and measured as evaluation does"},
	"runs/borrowed":        {[]string{"", "dataset", "embed", "predict", "table"}, "what is borrowed is measured on outcomes of both models, without the table that says which lends"},
	"runs/pacing":          {[]string{"", "dataset", "embed", "frontier", "internal/budget", "internal/parallel", "internal/svg", "predict", "table", "train"}, "what pacing is worth is measured with the formula that the gateway uses, on forecasts that training makes"},
	"runs/judges":          {[]string{"dataset", "internal/agreement", "internal/judge"}, "intervals are measured by drawing what they are of, and rules on recorded answers"},
	"runs/learn":           {[]string{"", "dataset", "embed", "frontier", "internal/learn", "internal/offpolicy", "internal/whatif", "predict", "table", "train"}, "what is learnt from simulated traffic is measured with the code that learns from a ledger"},
	"runs/gateway":         {[]string{"internal/simulate"}, "what measures the gateway talks to it as a client would, over the network"},
	"cmd/carrot": {[]string{"internal/phrase", "", "artifact", "internal/borrow", "dataset", "embed", "eval", "frontier", "gateway", "predict", "price", "record", "internal/adminapi", "internal/agreement", "internal/arena", "internal/atomicfile", "internal/budget", "internal/collect", "internal/dashboard", "internal/database", "internal/exampledata", "internal/importer", "internal/keys", "internal/learn", "internal/ledger", "internal/offpolicy", "internal/plan", "internal/pricelist", "internal/readfile", "internal/report", "internal/responses", "internal/safetensors", "internal/simulate", "internal/spelling", "internal/theory", "internal/whatif", "table", "train",
		"github.com/alecthomas/kong", "github.com/prometheus/client_golang", "go.opentelemetry.io/otel"}, "the command wires packages together; what it would need another library for belongs into one of them"},
}

// never lists packages that must not meet in any package of the module,
// directly or through others.
var never = []struct {
	name string // of the package under the rule
	ban  []string
	why  string
}{
	{"gateway", []string{"train", "eval", "dataset"}, "the gateway serves what was trained; outcomes and fitting stay out of the process that holds the keys"},
	{"", []string{"net/http"}, "a library that decides must not be able to call home"},
	{"predict", []string{"net/http", "os"}, "a predictor is a function of its inputs"},
	{"frontier", []string{"net/http", "os"}, "metrics are pure functions"},
	{"artifact", []string{"train", "eval", "dataset", "net/http"}, "serving must not link the code that trains"},
	{"artifact", []string{"embed"}, "a router is opened with an embedder that the program passes, so that it links no HTTP client"},
	{"train", []string{"embed"}, "training takes any embedder, and must not link the HTTP client of a remote one"},
	{"price", []string{"net/http"}, "prices come from files with a date and a source, not from the network at run time"},
	{"dataset", []string{"internal/importer", parquet}, "whoever reads outcomes must not link a hundred packages for one import format"},
	{"train", []string{"internal/importer", parquet}, "training reads the common form only"},
	{"eval", []string{"internal/importer", parquet}, "evaluation reads the common form only"},
	{"artifact", []string{"internal/importer", parquet}, "serving reads a saved router, and no data"},
	{"gateway", []string{"internal/importer", parquet}, "the gateway reads no data"},
	{"gateway", []string{"internal/ledger"}, "a gateway knows what records attempts only as an interface"},
	{"gateway", []string{"internal/pricelist"}, "the gateway reads price books, not other projects' lists"},
}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	GoFiles    []string
}

// name is the path within the module, "" of the root.
func (p *pkg) name() string { return short(p.ImportPath) }

func short(importPath string) string {
	if importPath == module {
		return ""
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func list(t *testing.T) []pkg {
	t.Helper()
	watch(t)
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps,GoFiles", "./...")
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Logf("%s", exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 { // else it holds tests only, like this one
			all = append(all, p)
		}
	}
	return all
}

// watch reads the module's folders, so that go test does not answer from its
// cache when a file came, went or changed: it cannot know what go list reads.
func watch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && len(name) > 2 && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// allowed reports whether a rule covers an import; a name of another module
// covers the packages below it.
func (r *rule) allowed(importPath string) bool {
	if standard(importPath) {
		return true
	}
	return slices.ContainsFunc(r.may, func(name string) bool {
		if strings.Contains(name, ".") {
			return within(importPath, name)
		}
		return strings.HasPrefix(importPath, module) && short(importPath) == name
	})
}

// within reports whether a package is the named one or below it.
func within(importPath, name string) bool {
	return importPath == name || strings.HasPrefix(importPath, name+"/")
}

func TestAllowedImports(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range list(t) {
		seen[p.name()] = true
		r, ok := rules[p.name()]
		if !ok {
			t.Errorf("package %s is missing in the table of internal/deps_test.go: add it, with what it may import and why no more", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if !r.allowed(imported) {
				t.Errorf("%s must not import %s: %s", p.ImportPath, imported, r.why)
			}
		}
	}
	for name := range rules {
		if !seen[name] {
			t.Errorf("the table of internal/deps_test.go has a rule for %q, which does not exist", name)
		}
	}
}

func TestNeverTogether(t *testing.T) {
	for _, p := range list(t) {
		for _, n := range never {
			if p.name() != n.name {
				continue
			}
			for _, ban := range n.ban {
				banned := ban
				if !strings.Contains(ban, "/") && ban != "os" || strings.HasPrefix(ban, "internal/") {
					banned = path.Join(module, ban)
				}
				linked := p.Deps
				if banned == "os" { // fmt links it: only direct imports count
					linked = p.Imports
				}
				if slices.ContainsFunc(linked, func(name string) bool { return name == banned || within(name, banned) && !standard(banned) }) {
					t.Errorf("%s must not depend on %s: %s", p.ImportPath, banned, n.why)
				}
			}
		}
		if !slices.Contains(p.Imports, "net/http") {
			continue
		}
		for _, heavy := range []string{"predict", "train", "eval"} {
			if slices.Contains(p.Imports, module+"/"+heavy) {
				t.Errorf("%s imports net/http and %s: fitting and talking to the network are wired together in cmd/carrot, not mixed", p.ImportPath, heavy)
			}
		}
	}
}

// Parquet is a hundred packages for one form of data: it stays behind the files that
// are named after it, so that it can be replaced.
func TestParquetInItsFiles(t *testing.T) {
	command := exec.CommandContext(t.Context(), "go", "list", "-f", "{{range .GoFiles}}{{$.Dir}}/{{.}}\n{{end}}", "./internal/importer")
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	for file := range strings.FieldsSeq(string(out)) {
		for _, imported := range imports(t, file) {
			if strings.HasPrefix(imported, parquet) && !strings.HasPrefix(path.Base(file), "parquet") {
				t.Errorf("%s imports %s: only internal/importer/parquet*.go may", file, imported)
			}
		}
	}
}

// imports lists what a Go file imports.
func imports(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, spec := range f.Imports {
		out = append(out, strings.Trim(spec.Path.Value, `"`))
	}
	return out
}

// A package is named for what it is of, not for being useful.
func TestPackageNames(t *testing.T) {
	for _, p := range list(t) {
		if name := path.Base(p.ImportPath); slices.Contains([]string{"util", "utils", "common", "helpers", "helper", "misc", "shared", "base"}, name) {
			t.Errorf("package %s says nothing by its name: put its parts where they are used", p.ImportPath)
		}
	}
}
