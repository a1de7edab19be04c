package internal_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/surface.txt")

// maxSurface is the most exported functions, types and methods that the public
// packages may have together: what is exported is a promise.
const maxSurface = 400

// public lists the packages that others may import.
func public(t *testing.T) []pkg {
	t.Helper()
	return slices.DeleteFunc(list(t), func(p pkg) bool {
		name := p.name()
		return strings.HasPrefix(name, "internal/") || strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "runs/")
	})
}

// parsed reads the Go files of a package's folder, tests included or not.
func parsed(t *testing.T, p pkg, tests bool) (*token.FileSet, []*ast.File) {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	names, err := filepath.Glob(filepath.Join("..", p.name(), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") != tests {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return set, files
}

// TestSurface compares what the public packages export with a list, so that a
// change of it is seen in a diff.
func TestSurface(t *testing.T) {
	const file = "testdata/surface.txt"
	var b strings.Builder
	total := 0
	for _, p := range public(t) {
		names := exported(t, p)
		total += len(names)
		fmt.Fprintf(&b, "%s: %d\n", p.ImportPath, len(names))
		for _, name := range names {
			fmt.Fprintf(&b, "\t%s\n", name)
		}
	}
	fmt.Fprintf(&b, "total: %d\n", total)
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the exported names differ from %s (-file +code); if the change is wanted, run go test ./internal -run TestSurface -update:\n%s", file, diff)
	}
	if total > maxSurface {
		t.Errorf("the public packages export %d functions, types and methods, at most %d are allowed: unexport some, or move them to internal/", total, maxSurface)
	}
}

// exported lists a package's exported types, functions and methods. It fails the
// test for an exported interface with unexported methods, because no other package
// can implement it.
func exported(t *testing.T, p pkg) []string {
	var names []string
	_, files := parsed(t, p, false)
	for _, f := range files {
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				receiver := ""
				if d.Recv != nil {
					receiver = receiverName(d.Recv.List[0].Type) + "."
				}
				if d.Name.IsExported() && (receiver == "" || ast.IsExported(receiver)) {
					names = append(names, receiver+d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					s, ok := spec.(*ast.TypeSpec)
					if !ok || !s.Name.IsExported() {
						continue
					}
					names = append(names, s.Name.Name)
					held, ok := s.Type.(*ast.InterfaceType)
					if !ok {
						continue
					}
					for _, method := range held.Methods.List {
						for _, name := range method.Names {
							if !name.IsExported() {
								t.Errorf("%s.%s has the unexported method %s, so no other package can implement it: unexport the interface, or export the method", p.ImportPath, s.Name.Name, name.Name)
							}
						}
					}
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

// receiverName is the name of a method's type.
func receiverName(kind ast.Expr) string {
	for {
		switch k := kind.(type) {
		case *ast.StarExpr:
			kind = k.X
		case *ast.IndexExpr:
			kind = k.X
		case *ast.IndexListExpr:
			kind = k.X
		case *ast.Ident:
			return k.Name
		default:
			return ""
		}
	}
}

// Every public package has Example functions, and the code in its package comment
// is that of one of them, so that it compiles and runs.
func TestPackageComments(t *testing.T) {
	for _, p := range public(t) {
		examples := exampleCode(t, p)
		if len(examples) == 0 {
			t.Errorf("package %s has no Example function", p.ImportPath)
		}
		_, files := parsed(t, p, false)
		comments := 0
		for _, f := range files {
			if f.Doc == nil {
				continue
			}
			comments++
			for _, block := range codeBlocks(f.Doc.Text()) {
				if !slices.ContainsFunc(examples, func(code string) bool { return strings.Contains(code, block) }) {
					t.Errorf("the comment of package %s has code that is in none of its Example functions:\n%s", p.ImportPath, block)
				}
			}
		}
		if comments != 1 {
			t.Errorf("package %s has %d package comments, want 1", p.ImportPath, comments)
		}
	}
}

// exampleCode is the source of a package's examples, with normalized white space.
func exampleCode(t *testing.T, p pkg) []string {
	var code []string
	set, files := parsed(t, p, true)
	for _, f := range files {
		for _, decl := range f.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || d.Recv != nil || !strings.HasPrefix(d.Name.Name, "Example") {
				continue
			}
			file := set.File(f.Pos())
			source, err := os.ReadFile(file.Name())
			if err != nil {
				t.Fatal(err)
			}
			code = append(code, normalized(string(source[file.Offset(d.Body.Pos()):file.Offset(d.Body.End())])))
		}
	}
	return code
}

// codeBlocks returns the indented Go statements of a comment, and leaves out
// formulas, tables and command lines.
func codeBlocks(comment string) []string {
	var blocks []string
	var block []string
	end := func() {
		text := strings.Join(block, "\n")
		if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+text+"\n}", 0); err == nil && strings.Contains(text, "(") {
			blocks = append(blocks, normalized(text))
		}
		block = nil
	}
	for line := range strings.Lines(comment) {
		switch {
		case strings.HasPrefix(line, "\t"):
			block = append(block, strings.TrimRight(line, "\n"))
		case strings.TrimSpace(line) == "" && len(block) > 0:
			block = append(block, "")
		case len(block) > 0:
			end()
		}
	}
	if len(block) > 0 {
		end()
	}
	return blocks
}

func normalized(code string) string { return strings.Join(strings.Fields(code), " ") }
