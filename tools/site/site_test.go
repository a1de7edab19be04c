package main

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// small is a repository with the least that a site needs.
func small(pages map[string]string) fstest.MapFS {
	files := fstest.MapFS{
		"README.md":      {Data: []byte("# CARROT\n\nRead [the docs](docs/README.md#guides).\n")},
		"CHANGELOG.md":   {Data: []byte("# Changelog\n")},
		"LICENSE":        {Data: []byte("Do what you like.\n")},
		"docs/README.md": {Data: []byte("# Docs\n\n## Guides\n\n- [use it](use.md), [in parts](parts/README.md)\n")},
		"docs/use.md": {Data: []byte("# Use it\n\n[Top](#use-it), [home](../README.md), [licence](../LICENSE), [tests](../runs), [elsewhere](https://example.org/a.md)\n" +
			"![a chart](img/chart.svg)\n\n<!-- a remark -->\n\n| a | b |\n|---|--:|\n| 1 | `<x>` |\n\n## What `--json` writes: a_b, and “more”\n\n## Twice\n\n## Twice\n\n[second](#twice-1)\n")},
		"docs/parts/README.md": {Data: []byte("# Parts\n\n[One](one.md), and [use](../use.md#what---json-writes-a_b-and-more)\n")},
		"docs/parts/one.md":    {Data: []byte("# One\n")},
		"docs/img/chart.svg":   {Data: []byte("<svg/>")},
		"runs/a.sh":            {Data: []byte("true")},
	}
	for name, text := range pages {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

func TestSite(t *testing.T) {
	out, err := build(small(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"CHANGELOG.html", "docs/img/chart.svg", "docs/index.html", "docs/parts/index.html", "docs/parts/one.html", "docs/use.html", "index.html"}
	if got := slices.Sorted(maps.Keys(out)); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	for _, test := range []struct{ page, holds string }{
		{"index.html", `<a href="docs/index.html#guides">the docs</a>`},
		{"docs/use.html", `<h1 id="use-it">Use it</h1>`},
		{"docs/use.html", `<a href="#use-it">Top</a>, <a href="../index.html">home</a>, <a href="https://github.com/carrot-router/carrot/blob/main/LICENSE">licence</a>, ` +
			`<a href="https://github.com/carrot-router/carrot/tree/main/runs">tests</a>, <a href="https://example.org/a.md">elsewhere</a>`},
		{"docs/use.html", `<img src="../docs/img/chart.svg" alt="a chart">`},
		{"docs/use.html", "<div class=\"scroll\">\n<table>"},
		{"docs/use.html", `<td align="right"><code>&lt;x&gt;</code>`},
		{"docs/use.html", `<h2 id="twice-1">Twice</h2>`},
		{"docs/parts/index.html", `<a href="../../docs/use.html#what---json-writes-a_b-and-more">use</a>`},
		// The navigation: labels of docs/README.md, the pages of a folder below its own, the page's sections.
		{"docs/parts/one.html", `<details open><summary>Guides</summary>`},
		{"docs/parts/one.html", `<li><a href="../../docs/parts/index.html">In parts</a>` + "\n" + `<ul>` + "\n" + `<li><a href="../../docs/parts/one.html" aria-current="page">One</a>`},
		{"docs/parts/one.html", `rel="prev">← In parts</a>`},
		{"docs/use.html", `<ul class="sections"><li><a href="#what---json-writes-a_b-and-more">What --json writes: a_b, and “more”</a></li>`},
	} {
		if text := string(out[test.page]); !strings.Contains(text, test.holds) {
			t.Errorf("%s does not hold %s:\n%s", test.page, test.holds, text[strings.Index(text, "<body>"):])
		}
	}
	again, err := build(small(nil))
	if err != nil || !maps.EqualFunc(out, again, slices.Equal) {
		t.Errorf("built again, the site differs (%v)", err)
	}
}

// TestPolicy: the style is the one that the policy allows, and nothing is loaded.
func TestPolicy(t *testing.T) {
	out, err := build(small(nil))
	if err != nil {
		t.Fatal(err)
	}
	page := string(out["index.html"])
	if !strings.Contains(page, "<style>"+style+"</style>") {
		t.Error("the style is not in the page byte for byte, so its hash does not fit")
	}
	if !strings.Contains(page, `content="default-src &#39;none&#39;; `) {
		t.Error("the page has no policy")
	}
	for _, loads := range []string{"<script", "<link", "url(", "@import", " style="} {
		for name, text := range out {
			if strings.Contains(string(text), loads) {
				t.Errorf("%s holds %s", name, loads)
			}
		}
	}
}

func TestProblems(t *testing.T) {
	for _, test := range []struct{ name, page, text, want string }{
		{"link", "docs/use.md", "# Use it\n\nRead\n[this](gone.md).\n", "docs/use.md:4: link to gone.md: no such file"},
		{"link in a table", "docs/parts/one.md", "# One\n\n| a |\n|---|\n| [b](two.md) |\n", "docs/parts/one.md:5: link to two.md: no such file"},
		{"link out of the repository", "docs/parts/one.md", "[b](../../../two.md)\n", "docs/parts/one.md:1: link to ../../../two.md: no such file"},
		{"link by reference", "docs/parts/one.md", "# One\n\n[b][two]\n\n[two]: two.md\n", "docs/parts/one.md:3: link to two.md: no such file"},
		{"heading of another page", "docs/parts/one.md", "# One\n\n[b](../use.md#thrice)\n", "docs/parts/one.md:3: link to ../use.md#thrice: docs/use.md has no such heading"},
		{"heading of the page", "docs/parts/one.md", "# One\n\n[b](#One)\n", "docs/parts/one.md:3: link to #One: docs/parts/one.md has no such heading"},
		{"picture", "docs/parts/one.md", "# One\n\n![](two.png)\n", "docs/parts/one.md:3: link to two.png: no such file"},
		{"picture from elsewhere", "docs/parts/one.md", "# One\n\n![](https://example.org/two.png)\n", "docs/parts/one.md:3: image https://example.org/two.png: pages load nothing from elsewhere"},
		{"HTML", "docs/parts/one.md", "# One\n\nTwo <b>three</b>\n", "docs/parts/one.md:3: HTML is left out of the site"},
		{"page that nothing leads to", "docs/two.md", "# Two\n", "docs/two.md:1: no way leads to this page: link to it in docs/README.md"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := build(small(map[string]string{test.page: test.text}))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
			if out != nil {
				t.Error("a site with problems is written")
			}
		})
	}
}

// TestDocumentation builds the site of this repository.
func TestDocumentation(t *testing.T) {
	if _, err := build(os.DirFS("../..")); err != nil {
		t.Error(err)
	}
}
