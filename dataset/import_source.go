package dataset

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sourceFiles lists, by path, the files of src that want takes by their name;
// src is a folder, searched with all below it, or one file, which is taken as it
// is. what says in an error which files are looked for.
func sourceFiles(src, what string, want func(name string) bool) ([]string, error) {
	root := src
	if info, err := os.Stat(src); err == nil && info.IsDir() {
		root += string(filepath.Separator) // for a link to a folder
	}
	var paths []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return &FormatError{File: path, Reason: "open: " + pathCause(err), Err: err}
		case !d.IsDir() && (path == src || want(d.Name())):
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, &FormatError{File: src, Reason: "the folder holds no " + what, Hint: "name the folder that does, or the file itself"}
	}
	slices.Sort(paths)
	return paths, nil
}

// hasEnding reports whether a name has one of the endings, maybe with .gz
// behind it.
func hasEnding(name string, endings ...string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	return slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(name, e) })
}

// splitOfFile is the split that a file's name tells, or "".
func splitOfFile(path string) Split {
	words := strings.FieldsFunc(strings.ToLower(filepath.Base(path)), func(r rune) bool { return r < 'a' || r > 'z' })
	for _, word := range words {
		if split := splitOfWord(word); split != "" {
			return split
		}
	}
	return ""
}

// heldOutFirst sorts files by the splits their names tell: test, validation,
// train, none. A query that several name stays held out.
func heldOutFirst(paths []string) {
	slices.SortStableFunc(paths, func(a, b string) int { return splitOrder(splitOfFile(b)) - splitOrder(splitOfFile(a)) })
}

// splitOfWord is the split that a word names, or "".
func splitOfWord(word string) Split {
	switch word {
	case "train", "training":
		return SplitTrain
	case "val", "valid", "validation", "dev":
		return SplitValidation
	case "test":
		return SplitTest
	}
	return ""
}

// skip counts a row that holds no outcome by design.
func (im *importer) skip() error {
	im.report.Rows++
	im.report.Skipped++
	return nil
}

// reject counts a row and refuses it.
func (im *importer) reject(at place, field, reason string) error {
	im.report.Rows++
	return im.refuse(at, fault{field, reason})
}

// countTokens counts a text, NaN if no counter was given.
func (im *importer) countTokens(text string) float64 {
	if im.opt.CountTokens == nil {
		return math.NaN()
	}
	return float64(im.opt.CountTokens(text))
}
