package report

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/eval"
)

// latexStructure checks what a LaTeX file may contain: braces and environments that
// match, known commands only, plain characters, and rows with as many cells as columns.
func latexStructure(text string) error {
	known := map[string]bool{}
	for c := range strings.FieldsSeq(`begin end centering caption label footnotesize small scriptsize setlength tabcolsep toprule midrule bottomrule
		textbackslash textasciitilde textasciicircum textless textgreater textbar char texttt allowbreak dots infty times mu cdot pm`) {
		known[c] = true
	}
	var open []string
	columns, depth := 0, 0
	for k, line := range strings.Split(text, "\n") {
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("line %d: %s: %s", k+1, fmt.Sprintf(format, args...), line)
		}
		if strings.HasPrefix(line, "%") {
			continue
		}
		bare := regexp.MustCompile(`\\[{}$&#%_]`).ReplaceAllString(line, "x")
		if strings.Count(bare, "$")%2 != 0 {
			return wrong("a formula without an end")
		}
		if strings.ContainsAny(bare, "%#~") || strings.Contains(regexp.MustCompile(`\$\^2\$`).ReplaceAllString(bare, ""), "^") {
			return wrong("a special character")
		}
		for _, m := range regexp.MustCompile(`\\([A-Za-z]+)`).FindAllStringSubmatch(bare, -1) {
			if !known[m[1]] {
				return wrong("the command %s", m[0])
			}
		}
		for _, c := range bare {
			if c < ' ' || c == 0x7f || c > 0xff || c > 0x7e && c < 0xc0 {
				return wrong("the character %q", c)
			}
		}
		if depth += strings.Count(bare, "{") - strings.Count(bare, "}"); depth < 0 {
			return wrong("a brace too many")
		}
		if m := regexp.MustCompile(`^\\begin\{([a-z*]+)\}`).FindStringSubmatch(bare); m != nil {
			open = append(open, m[1])
			if m[1] == "tabular" {
				columns = len(regexp.MustCompile(`[lcr]+`).FindString(strings.TrimPrefix(bare, `\begin{tabular}`)))
			}
		}
		if m := regexp.MustCompile(`^\\end\{([a-z*]+)\}`).FindStringSubmatch(bare); m != nil {
			if len(open) == 0 || open[len(open)-1] != m[1] {
				return wrong("an end without its beginning")
			}
			open = open[:len(open)-1]
		}
		if row, ok := strings.CutSuffix(bare, ` \\`); ok {
			if n := 1 + strings.Count(row, "&"); n != columns {
				return wrong("%d cells for %d columns", n, columns)
			}
			if strings.HasPrefix(row, "[") || strings.HasPrefix(row, "*") {
				return wrong("an option for the row before")
			}
		} else if strings.Contains(bare, "&") {
			return wrong("a cell outside of a row")
		}
	}
	if depth != 0 || len(open) > 0 {
		return fmt.Errorf("%d braces and %v are open at the end", depth, open)
	}
	return nil
}

func TestTeX(t *testing.T) {
	check := func(text, want string) {
		t.Helper()
		if got := tex(text); got != want {
			t.Errorf("tex(%q) = %s, want %s", text, got, want)
		}
	}
	check("knn:k=8", "knn:k=8")
	check("50% of $1_000 & #2", `50\% of \$1\_000 \& \#2`)
	check(`\input{x}`, `\textbackslash{}input\{x\}`)
	check("a--b", "a-{}-b")
	check("[x] *", "{[}x{]} {*}")
	check("a\n\nb", "a b")
	check("−0.1 – μ×2…", `$-$0.1 -- $\mu$$\times$2\dots{}`)
	check("é 中 \x00", "é {[}U+4E2D{]} {[}U+0000{]}")
	if got := texCode("--predictor knn:k=8,ridge"); got != `\texttt{-{}-predictor knn:\allowbreak{}k=\allowbreak{}8,\allowbreak{}ridge}` {
		t.Errorf("texCode = %s", got)
	}
}

// The tables have the intervals, the data, the protocols and the command.
func TestLaTeX(t *testing.T) {
	r := synthetic(3)
	page := written(t, func(w io.Writer, r *eval.Report) error { return LaTeX(w, r, LaTeXOptions{}) }, r)
	column := written(t, func(w io.Writer, r *eval.Report) error { return LaTeX(w, r, LaTeXOptions{Column: true}) }, r)
	for _, text := range []string{page, column} {
		if err := latexStructure(text); err != nil {
			t.Error(err)
		}
		for _, want := range []string{"Routers on invented, test: 1,200 queries, 3 models; the best single model is acme-large.",
			`\texttt{carrot eval -{}-data invented}`, "seed 7, data sha256:0123", "100 bootstrap resamples", "q.safetensors was trained on this data.",
			`{\scriptsize {[}0.770, 0.810{]}}`, `{\scriptsize {[}0.400, $\infty${]}}`, "blend & paper & 0.8400 & 100.1\\% & 40.0\\%", "knn & paper & 0.8300 & -- & --"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
	if !strings.Contains(page, `\begin{table*}`) || strings.Contains(column, "table*") {
		t.Error("a table for a column is as wide as the page, or the other way round")
	}
}

// pdfLaTeX takes tables with any names.
func TestPDFLaTeX(t *testing.T) {
	program, err := exec.LookPath("pdflatex")
	if err != nil {
		t.Skip("no pdflatex")
	}
	for name, r := range map[string]*eval.Report{"plain": synthetic(8), "hostile": hostile("[*] \\input{/etc/passwd} $x_1^2$ 50% #1 ~ {}} -- ,, '' `` <<>> \" é 中 \u2028 \x01 & \\\\")} {
		dir := t.TempDir()
		for file, o := range map[string]LaTeXOptions{"page.tex": {}, "column.tex": {Column: true}} {
			text := written(t, func(w io.Writer, r *eval.Report) error { return LaTeX(w, r, o) }, r)
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		const main = "\\documentclass[twocolumn]{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\input{page}\n\\input{column}\n\\listoftables\n\\end{document}\n"
		if err := os.WriteFile(filepath.Join(dir, "main.tex"), []byte(main), 0o644); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time with the list of tables
			command := exec.CommandContext(t.Context(), program, "-interaction=nonstopmode", "-halt-on-error", "main.tex")
			command.Dir = dir
			out, err := command.CombinedOutput()
			if strings.Contains(string(out), "booktabs.sty' not found") {
				t.Skip("no booktabs")
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, out)
			}
		}
	}
}
