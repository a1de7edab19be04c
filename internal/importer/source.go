package importer

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/carrot-router/carrot/dataset"
	"github.com/carrot-router/carrot/internal/textfile"
)

// sourceFiles returns the paths of the files of src whose name want accepts,
// sorted. src is a folder, which is searched with its subfolders, or one file,
// which is returned whatever its name. what describes the files in an error.
func sourceFiles(src, what string, want func(name string) bool) ([]string, error) {
	root := src
	if info, err := os.Stat(src); err == nil && info.IsDir() {
		root += string(filepath.Separator) // so that a link to a folder is followed
	}
	var paths []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return &dataset.FormatError{File: path, Reason: "open: " + textfile.Cause(err), Err: err}
		case !d.IsDir() && (path == src || want(d.Name())):
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, &dataset.FormatError{File: src, Reason: "the folder holds no " + what, Hint: "name the folder that does, or the file itself"}
	}
	slices.Sort(paths)
	return paths, nil
}

// hasEnding reports whether a name has one of the endings, possibly followed by
// .gz.
func hasEnding(name string, endings ...string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	return slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(name, e) })
}

// splitOfFile returns the split that a file's name contains, or "".
func splitOfFile(path string) dataset.Split {
	words := strings.FieldsFunc(strings.ToLower(filepath.Base(path)), func(r rune) bool { return r < 'a' || r > 'z' })
	for _, word := range words {
		if split := splitOfWord(word); split != "" {
			return split
		}
	}
	return ""
}

// heldOutFirst sorts files by the splits in their names: test, validation, train,
// none. A query that is in several of them is thus held out.
func heldOutFirst(paths []string) {
	slices.SortStableFunc(paths, func(a, b string) int { return splitOrder(splitOfFile(b)) - splitOrder(splitOfFile(a)) })
}

// splitOfWord returns the split that a word names, or "".
func splitOfWord(word string) dataset.Split {
	switch word {
	case "train", "training":
		return dataset.SplitTrain
	case "val", "valid", "validation", "dev":
		return dataset.SplitValidation
	case "test":
		return dataset.SplitTest
	}
	return ""
}

// splitOrder orders the splits by how late they are used: train is 0, validation
// 1, test 2, and no split -1.
func splitOrder(s dataset.Split) int {
	return slices.Index([]dataset.Split{dataset.SplitExtra, dataset.SplitTrain, dataset.SplitValidation, dataset.SplitTest}, s)
}
