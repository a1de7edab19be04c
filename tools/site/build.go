package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// repository is where links to files outside of the site lead.
const repository = "https://github.com/carrot-router/carrot"

// contents is the page from which the navigation is made.
const contents = "docs/README.md"

var (
	//go:embed page.html
	layout string
	//go:embed style.css
	style string

	pageTemplate = template.Must(template.New("page").Parse(layout))
	// GitHub's Markdown, with columns aligned without styles, which the policy forbids.
	markdown = goldmark.New(goldmark.WithExtensions(extension.Linkify, extension.Strikethrough, extension.TaskList,
		extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(scrolledRenderer{}, 100))))
)

// policy is the Content-Security-Policy of every page. Browsers differ in whether a
// page that was opened from a disk is from the same origin as its images, hence file:.
func policy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; base-uri 'none'; form-action 'none'; img-src 'self' file:; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page is a file in Markdown. Paths are relative to the root of the repository.
type page struct {
	path     string
	source   []byte
	root     ast.Node
	title    string
	anchors  map[string]bool
	sections []section // of the second level
}

type section struct{ ID, Title string }

// site is what is built, and the problems that were found.
type site struct {
	files    fs.FS
	pages    map[string]*page
	out      map[string][]byte
	problems []problem
}

type problem struct {
	path string
	line int
	text string
}

// build returns the content of the files of the site by their path.
func build(files fs.FS) (map[string][]byte, error) {
	s := &site{files: files, pages: map[string]*page{}, out: map[string][]byte{}}
	names := []string{"README.md", "CHANGELOG.md"}
	err := fs.WalkDir(files, "docs", func(name string, _ fs.DirEntry, err error) error {
		if path.Ext(name) == ".md" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		source, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		s.pages[name] = parse(name, source)
	}
	if s.pages[contents] == nil {
		return nil, fmt.Errorf("%s: the navigation is made from it, and it is not there", contents)
	}
	groups := s.navigation() // before links change
	for _, name := range names {
		s.resolve(s.pages[name])
	}
	if len(s.problems) > 0 {
		slices.SortStableFunc(s.problems, func(a, b problem) int {
			return cmp.Or(strings.Compare(a.path, b.path), cmp.Compare(a.line, b.line))
		})
		var all []error
		for _, p := range s.problems {
			all = append(all, fmt.Errorf("%s:%d: %s", p.path, p.line, p.text))
		}
		return nil, errors.Join(all...)
	}
	if err := s.render(groups); err != nil {
		return nil, err
	}
	return s.out, nil
}

func (s *site) fail(p *page, n ast.Node, format string, args ...any) {
	s.problems = append(s.problems, problem{p.path, lineOf(p.source, n), fmt.Sprintf(format, args...)})
}

// lineOf returns the line of a node's text or, without one, of its block, from 1.
func lineOf(source []byte, n ast.Node) int {
	start := -1
	ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering && start < 0 {
			start = t.Segment.Start
		}
		return ast.WalkContinue, nil
	})
	for ; start < 0 && n != nil; n = n.Parent() {
		if n.Type() == ast.TypeBlock && n.Lines().Len() > 0 {
			start = n.Lines().At(0).Start
		}
	}
	return 1 + bytes.Count(source[:max(start, 0)], []byte("\n"))
}

// parse reads a page and gives its headings the anchors that GitHub gives them.
func parse(name string, source []byte) *page {
	p := &page{path: name, source: source, root: markdown.Parser().Parse(text.NewReader(source)), title: name, anchors: map[string]bool{}}
	var tables, comments []ast.Node
	ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		h, ok := n.(*ast.Heading)
		if n.Kind() == extast.KindTable && entering {
			tables = append(tables, n)
		}
		if b, ok := n.(*ast.HTMLBlock); ok && entering && b.HTMLBlockType == ast.HTMLBlockType2 {
			comments = append(comments, n)
		}
		if !ok || !entering {
			return ast.WalkContinue, nil
		}
		title := textOf(source, h)
		id := anchor(title, p.anchors)
		h.SetAttributeString("id", []byte(id))
		if h.Level == 1 && p.title == name {
			p.title = title
		}
		if h.Level == 2 {
			p.sections = append(p.sections, section{id, title})
		}
		return ast.WalkContinue, nil
	})
	for _, t := range tables {
		box := &scrolled{}
		t.Parent().ReplaceChild(t.Parent(), t, box)
		box.AppendChild(box, t)
	}
	for _, c := range comments {
		c.Parent().RemoveChild(c.Parent(), c)
	}
	return p
}

// textOf returns what a reader sees of a node.
func textOf(source []byte, n ast.Node) string {
	var b strings.Builder
	ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			b.Write(util.UnescapePunctuations(n.Segment.Value(source)))
			if n.SoftLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(n.Value)
		case *ast.AutoLink:
			b.Write(n.Label(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// destination is where a link leads: a path in the repository and an anchor. It is
// not ok for addresses of other sites.
func destination(p *page, to []byte) (target, fragment string, ok bool, err error) {
	u, err := url.Parse(string(to))
	if err != nil || u.IsAbs() || u.Host != "" {
		return "", "", false, err
	}
	target = p.path
	if u.Path != "" {
		target = path.Join(path.Dir(p.path), u.Path)
	}
	return target, u.Fragment, true, nil
}

// resolve points the links of a page to the files of the site.
func (s *site) resolve(p *page) {
	ast.Walk(p.root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			n.Destination = s.link(p, n, n.Destination, false)
		case *ast.Image:
			n.Destination = s.link(p, n, n.Destination, true)
		case *ast.RawHTML, *ast.HTMLBlock:
			s.fail(p, n, "HTML is left out of the site: write Markdown, or text in angle brackets as code")
		}
		return ast.WalkContinue, nil
	})
}

// link returns where a link leads in the site. Files of docs/ are copied into it.
func (s *site) link(p *page, n ast.Node, to []byte, image bool) []byte {
	target, fragment, ok, err := destination(p, to)
	switch {
	case err != nil:
		s.fail(p, n, "link to %s: %v", to, err)
		return to
	case !ok && image:
		s.fail(p, n, "image %s: pages load nothing from elsewhere", to)
		return to
	case !ok:
		return to
	}
	if other := s.pages[target]; other != nil {
		if fragment != "" && !other.anchors[fragment] {
			s.fail(p, n, "link to %s: %s has no such heading", to, target)
		}
		if target == p.path {
			return []byte("#" + fragment)
		}
		if fragment != "" {
			fragment = "#" + fragment
		}
		return []byte(up(p.path) + output(target) + fragment)
	}
	info, err := fs.Stat(s.files, target)
	if err != nil {
		s.fail(p, n, "link to %s: no such file", to)
		return to
	}
	switch {
	case info.IsDir():
		return []byte(repository + "/tree/main/" + target)
	case !strings.HasPrefix(target, "docs/") && image:
		s.fail(p, n, "image %s: not a file under docs/", to)
	case !strings.HasPrefix(target, "docs/"):
		return []byte(repository + "/blob/main/" + target)
	case s.out[target] == nil:
		content, err := fs.ReadFile(s.files, target)
		if err != nil {
			s.fail(p, n, "link to %s: %v", to, err)
		}
		s.out[target] = content
	}
	return []byte(up(p.path) + target)
}

// output is the file of a page in the site.
func output(name string) string {
	name = strings.TrimSuffix(name, ".md")
	if path.Base(name) == "README" {
		name = path.Join(path.Dir(name), "index")
	}
	return name + ".html"
}

// up leads from a page to the root of the site.
func up(name string) string { return strings.Repeat("../", strings.Count(name, "/")) }

// group is a part of the navigation; an entry of it is a page, perhaps with the pages
// of the folder that it introduces.
type group struct {
	title   string
	entries []*entry
}

type entry struct {
	label    string
	page     *page
	children []*entry
}

// navigation lists the pages in the order in which docs/README.md links to them, by
// the headings there.
func (s *site) navigation() []group {
	seen := map[*page]bool{}
	add := func(label, name string) *entry {
		p := s.pages[name]
		if p == nil || seen[p] {
			return nil
		}
		seen[p] = true
		return &entry{label: label, page: p}
	}
	groups := []group{{entries: []*entry{add("CARROT", "README.md"), add("All pages", contents), add("Changelog", "CHANGELOG.md")}}}
	var links func(from *page, under ast.Node) []*entry
	links = func(from *page, under ast.Node) (found []*entry) {
		ast.Walk(under, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			l, ok := n.(*ast.Link)
			if !ok || !entering {
				return ast.WalkContinue, nil
			}
			target, _, _, _ := destination(from, l.Destination)
			if path.Dir(from.path) != "docs" && path.Dir(from.path) != path.Dir(target) {
				return ast.WalkContinue, nil // a page that introduces a folder leads to others too
			}
			label := []rune(textOf(from.source, l))
			if len(label) > 0 {
				label[0] = unicode.ToUpper(label[0])
			}
			if e := add(string(label), target); e != nil {
				if path.Base(target) == "README.md" {
					e.children = links(e.page, e.page.root)
				}
				found = append(found, e)
			}
			return ast.WalkContinue, nil
		})
		return found
	}
	all := s.pages[contents]
	for n := all.root.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok && h.Level == 2 {
			groups = append(groups, group{title: textOf(all.source, h)})
		}
		last := &groups[len(groups)-1]
		last.entries = append(last.entries, links(all, n)...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.pages)) {
		if !seen[s.pages[name]] {
			s.problems = append(s.problems, problem{name, 1, "no way leads to this page: link to it in " + contents})
		}
	}
	return groups
}

// item is an entry of the navigation as one page shows it.
type item struct {
	Label, URL string
	Current    bool
	Sections   []section
	Children   []item
}

func (i item) holdsCurrent() bool {
	return i.Current || slices.ContainsFunc(i.Children, item.holdsCurrent)
}

// render writes the pages.
func (s *site) render(groups []group) error {
	var order []*entry
	var flatten func(entries []*entry)
	flatten = func(entries []*entry) {
		for _, e := range entries {
			order = append(order, e)
			flatten(e.children)
		}
	}
	for _, g := range groups {
		flatten(g.entries)
	}
	for at, e := range order {
		p := e.page
		items := func(entries []*entry) []item { return itemsOf(entries, p) }
		type shown struct {
			Title string
			Open  bool
			Items []item
		}
		data := struct {
			Title, Root    string
			Policy         string
			Style          template.CSS
			Content        template.HTML
			Groups         []shown
			Previous, Next []item
		}{Title: p.title, Root: up(p.path), Policy: policy(), Style: template.CSS(style)}
		introduces := slices.ContainsFunc(groups[0].entries, func(e *entry) bool { return e.page == p })
		for _, g := range groups {
			own := items(g.entries)
			data.Groups = append(data.Groups, shown{g.title, introduces || slices.ContainsFunc(own, item.holdsCurrent), own})
		}
		if at > 0 {
			data.Previous = items([]*entry{{label: order[at-1].label, page: order[at-1].page}})
		}
		if at+1 < len(order) {
			data.Next = items([]*entry{{label: order[at+1].label, page: order[at+1].page}})
		}
		var content, whole bytes.Buffer
		if err := markdown.Renderer().Render(&content, p.source, p.root); err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		data.Content = template.HTML(content.String())
		if err := pageTemplate.Execute(&whole, data); err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		s.out[output(p.path)] = whole.Bytes()
	}
	return nil
}

func itemsOf(entries []*entry, on *page) (out []item) {
	for _, e := range entries {
		i := item{Label: e.label, URL: up(on.path) + output(e.page.path), Current: e.page == on, Children: itemsOf(e.children, on)}
		if i.Current {
			i.Sections = on.sections
		}
		out = append(out, i)
	}
	return out
}
