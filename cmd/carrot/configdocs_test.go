package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/gateway"
)

const (
	configDocs    = "../../docs/config.md"
	configSource  = "../../gateway/config.go"
	configExample = "../../gateway/testdata/config/carrot.yaml"
)

// TestConfigDocs compares docs/config.md with the comments of gateway.Config; with
// -update it writes the file.
func TestConfigDocs(t *testing.T) {
	got := renderConfigDocs(t)
	if *update {
		if err := os.WriteFile(configDocs, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(configDocs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/config.md is stale (-file +comments): go test ./cmd/carrot -run TestConfigDocs -update\n%s", diff)
	}
}

const configDocsIntro = `# Configuration

What ` + "`carrot serve --config FILE`" + ` reads. Written by ` + "`make docs`" + ` from gateway/config.go; do
not edit.

The file is one YAML mapping, read strictly: a key that is unknown, twice there or
without a value is refused, and so is a value of the wrong type, an anchor, an alias
or a tag. All problems of one kind are listed at once (of form, then of values,
then what the router does not know), one a line, as
` + "`FILE:LINE:COLUMN: FIELD: REASON`" + `. ` + "`carrot serve --check`" + ` reads the file and stops.

- **Environment.** In secrets and where the type says ` + "`${ENV}`" + `, ` + "`${NAME}`" + ` stands for an
  environment variable, which must be set and not be empty, ` + "`${NAME:-default}`" + ` for one that
  may be missing or empty, and ` + "`$$`" + ` for a dollar sign. Put such text in quotes.
- **Secrets** are shown in no log, error or output. Keys of clients are hashed when the
  file is read, and only the hashes are kept.
- **Paths** are relative to the folder of the file.
- **Durations** have a unit: ` + "`250ms`, `30s`, `5m`, `1h30m`" + `. **Prices** are in USD per million
  tokens. **MB** and **KB** in names of keys are MiB and KiB, 1024² and 1024 bytes.
- **Defaults** hold for keys that are left out. A key that may be 0 or ` + "`[]`" + ` means it.
- **Bounds.** A file is at most 256 KiB, and at most 30,000 keys, values and marks: some
  thousand models.

## Example

Everything but providers and models may be left out.

`

func renderConfigDocs(t *testing.T) []byte {
	t.Helper()
	example, err := os.ReadFile(configExample)
	if err != nil {
		t.Fatal(err)
	}
	d := configPage{t: t, comments: configComments(t), sections: make(map[reflect.Type]string)}
	d.out.WriteString(configDocsIntro)
	fmt.Fprintf(&d.out, "```yaml\n%s```\n", example)
	root := reflect.ValueOf(defaultConfig(t)).Elem()
	for field := range root.Type().Fields() {
		if held := configStruct(field.Type); held != nil {
			d.sections[held] = field.Tag.Get("yaml")
		}
	}
	d.section("## Top level", "", root)
	for field := range root.Type().Fields() {
		if configStruct(field.Type) != nil {
			d.section("## "+field.Tag.Get("yaml"), field.Tag.Get("yaml"), firstOf(root.FieldByIndex(field.Index)))
		}
	}
	return d.out.Bytes()
}

// defaultConfig is a file that leaves out what it can, with one element in each
// list.
func defaultConfig(t *testing.T) *gateway.Config {
	t.Helper()
	c, err := gateway.ParseConfig([]byte(`
providers: [{name: p, kind: openai}]
models: [{name: m, provider: p, price: {input: 1, output: 1}}]
embeddings: [{name: e, provider: p}]
clients: [{name: c, key: client-0123456789abcdef}]
`), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// configComments reads the comments of the types, by TYPE and by TYPE.FIELD.
func configComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), configSource, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := make(map[string]string)
	oneLine := func(g *ast.CommentGroup) string { return strings.Join(strings.Fields(g.Text()), " ") }
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		for _, spec := range general.Specs {
			spec := spec.(*ast.TypeSpec)
			held, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			comments[spec.Name.Name] = oneLine(general.Doc)
			for _, field := range held.Fields.List {
				for _, name := range field.Names {
					comments[spec.Name.Name+"."+name.Name] = oneLine(field.Doc)
				}
			}
		}
	}
	return comments
}

// configPage is the page as far as it is written.
type configPage struct {
	t        *testing.T
	comments map[string]string
	sections map[reflect.Type]string // which describe a type
	out      bytes.Buffer
}

// section describes a struct, of which v holds the defaults, and then those within
// it that no other section describes.
func (d *configPage) section(heading, path string, v reflect.Value) {
	fmt.Fprintf(&d.out, "\n%s\n", heading)
	if path != "" {
		meaning, _ := d.split(v.Type().Name(), v.Type().Name(), "`"+path+"`")
		fmt.Fprintf(&d.out, "\n%s\n", meaning)
	}
	d.out.WriteString("\n| key | type | default | meaning |\n|---|---|---|---|\n")
	var within []reflect.StructField
	for field := range v.Type().Fields() {
		key, ok := field.Tag.Lookup("yaml")
		if !ok {
			continue
		}
		if held := configStruct(field.Type); held != nil && d.sections[held] == "" {
			d.sections[held] = strings.TrimPrefix(path+"."+key, ".")
			within = append(within, field)
		}
		meaning, other := d.split(v.Type().Name()+"."+field.Name, field.Name, "`"+key+"`")
		d.checkDefault(v.Type().Name()+"."+field.Name, other, v.FieldByIndex(field.Index))
		other = strings.TrimPrefix(strings.TrimPrefix(other, "Default: "), "Default ")
		cells := []string{"`" + key + "`", d.typeName(field), strings.Replace(other, "Required", "required", 1), meaning}
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
		}
		fmt.Fprintf(&d.out, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, field := range within {
		name := path + "." + field.Tag.Get("yaml")
		d.section("### "+name, name, firstOf(v.FieldByIndex(field.Index)))
	}
}

var sentences = regexp.MustCompile(`.+?\.(?: |$)`)

// split divides a comment into what a field means and the sentence about its
// default; key stands for the Go name at the beginning.
func (d *configPage) split(of, goName, key string) (meaning, other string) {
	comment := d.comments[of]
	if comment == "" {
		d.t.Errorf("%s: %s has no comment", configSource, of)
	}
	var kept []string
	for _, sentence := range sentences.FindAllString(comment, -1) {
		sentence = strings.TrimSpace(sentence)
		switch {
		case strings.HasPrefix(sentence, "Default") && !strings.HasPrefix(sentence, "Default is") || strings.HasPrefix(sentence, "Required"):
			other = strings.TrimSuffix(sentence, ".")
		case !strings.Contains(sentence, "[ParseConfig]"): // of use to programs only
			kept = append(kept, sentence)
		}
	}
	meaning = strings.Join(kept, " ")
	for _, verb := range []string{" is ", " are "} {
		if rest, ok := strings.CutPrefix(meaning, goName+verb); ok {
			first, size := utf8.DecodeRuneInString(rest)
			return string(unicode.ToUpper(first)) + rest[size:], other
		}
	}
	if strings.ContainsFunc(goName[1:], unicode.IsUpper) {
		meaning = strings.Replace(meaning, goName, key, 1)
	}
	return meaning, other
}

var literalDefault = regexp.MustCompile(`^Default ([^ ;,]+)`)

// checkDefault holds what a comment says to what the parser does.
func (d *configPage) checkDefault(of, other string, v reflect.Value) {
	m := literalDefault.FindStringSubmatch(other)
	if m == nil {
		if other == "" && configStruct(v.Type()) == nil {
			d.t.Errorf("%s: the comment of %s says neither Default nor Required", configSource, of)
		}
		return
	}
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	want := fmt.Sprint(v)
	if duration, ok := v.Interface().(time.Duration); ok {
		if said, err := time.ParseDuration(m[1]); err == nil && said == duration {
			return
		}
	}
	if m[1] != want {
		d.t.Errorf("%s: the comment of %s says %q, the default is %s", configSource, of, other, want)
	}
}

// typeName is a field's type as the reader of a YAML file calls it.
func (d *configPage) typeName(field reflect.StructField) string {
	name := d.kindName(field.Type, false)
	if field.Tag.Get("expand") == "env" {
		name += ", `${ENV}`"
	}
	return name
}

func (d *configPage) kindName(of reflect.Type, many bool) string {
	name := ""
	switch {
	case of == reflect.TypeFor[time.Duration]():
		name = "duration"
	case of == reflect.TypeFor[gateway.Secret]():
		name = "secret"
	case of.Kind() == reflect.Pointer:
		return d.kindName(of.Elem(), many)
	case of.Kind() == reflect.Slice:
		return "list of " + d.kindName(of.Elem(), true)
	case of.Kind() == reflect.Map && of.Elem().Kind() == reflect.Interface:
		return "mapping of any YAML"
	case of.Kind() == reflect.Map:
		return "mapping of " + d.kindName(of.Elem(), true)
	case of.Kind() == reflect.Struct:
		link := notInAnchor.ReplaceAllString(d.sections[of], "")
		if many {
			return "[mappings](#" + link + ")"
		}
		return "[mapping](#" + link + ")"
	case of.Kind() == reflect.String:
		return "text"
	case of.Kind() == reflect.Bool:
		return "true or false"
	case of.Kind() == reflect.Float64:
		name = "number"
	default:
		name = "whole number"
	}
	if many {
		name += "s"
	}
	return name
}

// configStruct is the struct that a field holds, alone, behind a pointer or in a
// list; nil if it holds none.
func configStruct(of reflect.Type) reflect.Type {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return nil
	}
	return of
}

// firstOf is the struct that a field's value holds, the first one of a list.
func firstOf(v reflect.Value) reflect.Value {
	for v.Kind() != reflect.Struct {
		if v.Kind() == reflect.Slice {
			v = v.Index(0)
		} else {
			v = v.Elem()
		}
	}
	return v
}
