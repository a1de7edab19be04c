// Command site writes README.md, CHANGELOG.md and the pages under docs/ as a static
// site: one HTML file per page, which loads nothing from elsewhere and needs no script.
// It fails, with file and line, if a link or an anchor leads nowhere, and if
// docs/README.md, from which the navigation is made, does not lead to every page.
//
//	go -C tools run ./site -root .. -out ../.cache/site
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", ".", "`folder` of the repository")
	out := flag.String("out", filepath.Join(".cache", "site"), "`folder` to write, in place of what is there")
	flag.Parse()
	if err := run(*root, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root, out string) error {
	files, err := build(os.DirFS(root))
	if err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%d files in %s: open %s\n", len(files), out, filepath.Join(out, "index.html"))
	return nil
}
