package main

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/util"
)

// anchor returns the anchor that GitHub gives a heading, and adds it to those taken
// on the page: letters and digits in lower case, hyphens for spaces, a number if the
// anchor is taken.
func anchor(title string, taken map[string]bool) string {
	base := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.Pc):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(title))
	id := base
	for n := 1; taken[id]; n++ {
		id = fmt.Sprintf("%s-%d", base, n)
	}
	taken[id] = true
	return id
}

// scrolled is a box that scrolls sideways, around a table.
type scrolled struct{ ast.BaseBlock }

var scrolledKind = ast.NewNodeKind("Scrolled")

// Kind implements ast.Node.
func (*scrolled) Kind() ast.NodeKind { return scrolledKind }

// Dump implements ast.Node.
func (s *scrolled) Dump(source []byte, level int) { ast.DumpHelper(s, source, level, nil, nil) }

type scrolledRenderer struct{}

// RegisterFuncs implements renderer.NodeRenderer.
func (scrolledRenderer) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(scrolledKind, func(w util.BufWriter, _ []byte, _ ast.Node, entering bool) (ast.WalkStatus, error) {
		tag := "<div class=\"scroll\">\n"
		if !entering {
			tag = "</div>\n"
		}
		_, err := w.WriteString(tag)
		return ast.WalkContinue, err
	})
}
