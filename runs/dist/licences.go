package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// part is something that the binary consists of.
type part struct {
	name     string // of a module, its path
	version  string
	module   bool     // from go.mod, not the standard library and not data
	about    string   // what it is; empty for a module
	needs    []string // names of the modules that it imports
	licences []string // SPDX identifiers
	texts    []text
}

// text is a licence or a notice.
type text struct{ name, content string }

// embedded says where embedded data come from: the text in licenses/, or none if they are
// our own.
var embedded = []struct {
	file, name, about, text string
}{
	{"embed/static.safetensors", "all-MiniLM-L6-v2", "the sentence encoder from which the table of token vectors was distilled", "licenses/all-MiniLM-L6-v2.txt"},
	{"artifact/default.safetensors", "ZeroEval", "the results on which the default router was trained", "licenses/ZeroEval.txt"},
	{"artifact/agents-2026.safetensors.gz", "OpenHands", "the results on which the router of agents' coding tasks was trained", "licenses/OpenHands.txt"},
	{"price/o200k.gz", "tiktoken", "the vocabulary with which tokens are counted", "licenses/tiktoken.txt"},
	{"price/catalogue.json.gz", "LiteLLM", "the prices and facts of current models", "licenses/LiteLLM.txt"},
	{"price/prices.json", "", "", ""},
	{"internal/importer/zeroeval.json", "", "", ""},
	{"internal/importer/mmlupro.json", "", "", ""},
	{"price/facts.json", "", "", ""},
	{"internal/database/schema/", "", "", ""},
	{"internal/adminapi/openapi.yaml", "", "", ""},
	{"internal/dashboard/page/", "", "", ""},
	{"internal/report/page/", "", "", ""},
	{"internal/judge/prompts/", "", "", ""},
	{"internal/borrow/table.json", "", "", ""},
	{"eval/words.txt", "", "", ""},
}

// listedPackage is what go list says of a package.
type listedPackage struct {
	ImportPath, Dir string
	Standard        bool
	Imports         []string
	EmbedFiles      []string
	Module          *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// linked returns what cmd/carrot consists of on a platform: the standard library, then
// modules, then data. It must run in the root folder of the module.
func linked(goos, goarch string) ([]part, error) {
	list := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Standard,Imports,EmbedFiles,Module", "./cmd/carrot")
	list.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	list.Stderr = os.Stderr
	output, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	var packages []listedPackage
	moduleOf := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		packages = append(packages, p)
		if p.Module != nil {
			moduleOf[p.ImportPath] = p.Module.Path
		}
	}
	goRoot, err := goEnv("GOROOT")
	if err != nil {
		return nil, err
	}
	goVersion, err := goEnv("GOVERSION")
	if err != nil {
		return nil, err
	}
	standard := part{name: "std", version: strings.TrimPrefix(goVersion, "go"), about: "Go's standard library"}
	if standard.texts, err = licencesIn(goRoot, goRoot, nil); err != nil {
		return nil, err
	}
	modules := map[string]*part{}
	var problems []error
	for _, p := range packages {
		if p.Module == nil {
			continue
		}
		if p.Module.Main {
			problems = append(problems, known(p))
		}
		m := modules[p.Module.Path]
		if m == nil {
			m = &part{name: p.Module.Path, version: p.Module.Version, module: true}
			modules[p.Module.Path] = m
		}
		if !p.Module.Main {
			if m.texts, err = licencesIn(p.Dir, p.Module.Dir, m.texts); err != nil {
				return nil, err
			}
		}
		for _, i := range p.Imports {
			if needed := cmp.Or(moduleOf[i], "std"); needed != m.name && !slices.Contains(m.needs, needed) {
				m.needs = append(m.needs, needed)
			}
		}
	}
	parts := []part{standard}
	for _, m := range modules {
		slices.Sort(m.needs)
		parts = append(parts, *m)
	}
	for _, e := range embedded {
		if e.text == "" {
			continue
		}
		content, err := os.ReadFile(e.text)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{name: e.name, about: e.about, texts: []text{{filepath.Base(e.text), string(content)}}})
	}
	rank := func(p part) int {
		switch {
		case p.name == "std":
			return 0
		case p.module:
			return 1
		}
		return 2
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.name, b.name)) })
	var out []part
	for _, p := range parts {
		if p.module && p.version == "" { // this module
			p.module, p.licences = false, []string{"Apache-2.0"}
			out = append(out, p)
			continue
		}
		if p.licences = identify(p.texts); len(p.licences) == 0 {
			problems = append(problems, fmt.Errorf("%s %s: no licence that is known is in its folder: read what there is, then teach runs/dist", p.name, p.version))
		}
		out = append(out, p)
	}
	return out, errors.Join(problems...)
}

func goEnv(key string) (string, error) {
	value, err := exec.Command("go", "env", key).Output()
	if err != nil {
		return "", fmt.Errorf("go env %s: %w", key, err)
	}
	return strings.TrimSpace(string(value)), nil
}

// known checks that the origin of a package's embedded files is in the list.
func known(p listedPackage) error {
	var problems []error
	for _, name := range p.EmbedFiles {
		rel, err := filepath.Rel(p.Module.Dir, filepath.Join(p.Dir, name))
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		found := false
		for _, e := range embedded {
			found = found || rel == e.file || strings.HasSuffix(e.file, "/") && strings.HasPrefix(rel, e.file)
		}
		if !found {
			problems = append(problems, fmt.Errorf("%s is embedded: say in runs/dist/licences.go where it comes from", rel))
		}
	}
	return errors.Join(problems...)
}

// isLicence matches the names of files that must be passed on.
var isLicence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|copyright|unlicense)([-._].*)?$`)

// licencesIn adds the licences in a package's folder and those above it, up to its module's.
func licencesIn(dir, root string, texts []text) ([]text, error) {
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !isLicence.MatchString(e.Name()) || e.IsDir() || strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			path := filepath.Join(dir, e.Name())
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			name = filepath.ToSlash(name)
			if slices.ContainsFunc(texts, func(t text) bool { return t.name == name }) {
				continue
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			texts = append(texts, text{name, string(content)})
		}
		if dir == root || !strings.HasPrefix(dir, root) {
			slices.SortFunc(texts, func(a, b text) int { return cmp.Compare(a.name, b.name) })
			return texts, nil
		}
		dir = filepath.Dir(dir)
	}
}

// identify returns the SPDX identifiers of the licences in the texts, sorted.
func identify(texts []text) []string {
	var ids []string
	for _, t := range texts {
		s := strings.ToLower(strings.Join(strings.Fields(t.content), " "))
		has := func(all ...string) bool {
			return !slices.ContainsFunc(all, func(part string) bool { return !strings.Contains(s, part) })
		}
		if has("apache license", "version 2.0") {
			ids = append(ids, "Apache-2.0")
		}
		if has("permission is hereby granted, free of charge, to any person obtaining a copy") {
			ids = append(ids, "MIT")
		}
		if has("redistribution and use in source and binary forms", "redistributions in binary form must reproduce") {
			if has("endorse or promote products") {
				ids = append(ids, "BSD-3-Clause")
			} else {
				ids = append(ids, "BSD-2-Clause")
			}
		}
		if has("permission to use, copy, modify, and/or distribute this software for any purpose") {
			ids = append(ids, "ISC")
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// notices writes all licences and notices. A text that several parts share is written once.
func notices(parts []part) []byte {
	var b bytes.Buffer
	b.WriteString("This program contains the following modules and data. Their licences and notices\nfollow the list.\n\n")
	var contents []string
	owners := map[string][]string{}
	for _, p := range parts {
		if len(p.texts) == 0 {
			continue
		}
		title := strings.TrimSpace(p.name + " " + p.version)
		if p.about != "" {
			title += " (" + p.about + ")"
		}
		fmt.Fprintf(&b, "  %s: %s\n", title, strings.Join(p.licences, ", "))
		for _, t := range p.texts {
			content := strings.TrimRight(strings.ReplaceAll(t.content, "\r\n", "\n"), "\n\t ") + "\n"
			if owners[content] == nil {
				contents = append(contents, content)
			}
			owners[content] = append(owners[content], title+", "+t.name)
		}
	}
	line := strings.Repeat("=", 80) + "\n"
	for _, c := range contents {
		b.WriteString("\n" + line + strings.Join(owners[c], "\n") + "\n" + line + "\n" + c)
	}
	return b.Bytes()
}
