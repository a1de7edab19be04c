package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/carrot-router/carrot/internal/atomicfile"
	"github.com/carrot-router/carrot/internal/phrase"
)

type cacheCommand struct {
	List  cacheListCommand  `cmd:"" default:"withargs" help:"List what is in the cache; carrot cache does the same."`
	Clear cacheClearCommand `cmd:"" help:"Remove what is in the cache."`
}

func (c *cacheCommand) Help() string {
	return `Vectors of bert and openai embedders, and routers that carrot eval has fitted. All of
it can be computed again. The folder is named by CARROT_CACHE, else it is that of the
user for such files.

Example:
  carrot cache
  carrot cache clear --older-than 30d`
}

type cacheListCommand struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

func (c *cacheListCommand) Help() string {
	return `Example:
  carrot cache list --json`
}

type cacheClearCommand struct {
	OlderThan string `placeholder:"AGE" help:"Keep what was used or written within this time: 30d, 2w or 12h."`
	JSON      bool   `name:"json" help:"Print what was removed as JSON."`
}

func (c *cacheClearCommand) Help() string {
	return `Removes only files that carrot itself has written into its folder of the cache, and
follows no links.

Example:
  carrot cache clear --older-than 30d`
}

// cachedFile is a file of the cache.
type cachedFile struct {
	Kind  string    `json:"kind"` // vectors or fitted
	Name  string    `json:"name"` // below the folder of the cache, with slashes
	Bytes int64     `json:"bytes"`
	Used  time.Time `json:"used"` // when it was last written or, for fitted routers, used
}

// cacheContent is what is in a cache, or what was removed from it.
type cacheContent struct {
	Folder string       `json:"folder"`
	Files  []cachedFile `json:"files"`
	Bytes  int64        `json:"bytes"`
}

// openCacheFolder opens the folder of the cache. It returns nil if there is none.
func openCacheFolder() (*os.Root, string, error) {
	folder := cacheFolder("")
	if folder == "" {
		return nil, "", hinted{errors.New("cache: you have no folder for such files"), "set CARROT_CACHE to a folder that can be written"}
	}
	info, err := os.Lstat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, folder, nil
	case err != nil:
		return nil, folder, fmt.Errorf("cache: %w", err)
	case !info.IsDir():
		return nil, folder, hinted{fmt.Errorf("cache: %s is not a folder", folder), "set CARROT_CACHE to another folder; a link is not followed"}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, folder, fmt.Errorf("cache: %w", err)
	}
	return root, folder, nil
}

// readCache lists the files of the cache that carrot has written, by name.
func readCache(root *os.Root, folder string) (*cacheContent, error) {
	content := &cacheContent{Folder: folder, Files: []cachedFile{}}
	if root == nil {
		return content, nil
	}
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another carrot removed it
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && !isCacheFolder(name) {
				return fs.SkipDir
			}
			return nil
		}
		kind, ok := cacheKind(name)
		if !ok || !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		file := cachedFile{Kind: kind, Name: name, Bytes: info.Size(), Used: info.ModTime().UTC().Truncate(time.Second)}
		if kind == "fitted" { // carrot eval notes on the folder of a build that it was used
			if build, err := root.Stat(path.Dir(name)); err == nil && build.ModTime().After(file.Used) {
				file.Used = build.ModTime().UTC().Truncate(time.Second)
			}
		}
		content.Files, content.Bytes = append(content.Files, file), content.Bytes+file.Bytes
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return content, nil
}

// isCacheFolder reports whether a folder is one that carrot makes in its cache:
// vectors, fitted, and fitted/BUILD.
func isCacheFolder(name string) bool {
	dir, base := path.Split(name)
	return name == "vectors" || name == "fitted" || dir == "fitted/" && isHash(base, 16)
}

// cacheKind returns the kind of a file that carrot writes into its cache:
// vectors/ENCODER.vectors and fitted/BUILD/KEY, or a part of the latter that a killed
// run has left.
func cacheKind(name string) (kind string, ok bool) {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	switch {
	case !isCacheFolder(dir):
		return "", false
	case dir == "vectors":
		return "vectors", strings.HasSuffix(base, ".vectors")
	case dir == "fitted":
		return "", false
	}
	left, _ := path.Match(atomicfile.Leftovers, base) // a valid pattern
	return "fitted", left || isHash(base, 32)
}

// isHash reports whether a name is that many bytes in hexadecimal.
func isHash(name string, bytes int) bool {
	sum, err := hex.DecodeString(name)
	return err == nil && len(sum) == bytes
}

func (c *cacheListCommand) Run(_ context.Context, t terminal) error {
	root, folder, err := openCacheFolder()
	if err != nil {
		return err
	}
	if root != nil {
		defer root.Close() // only read from
	}
	content, err := readCache(root, folder)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(content)
	}
	return content.print(t)
}

// print lists the files; those of one build are one line.
func (c *cacheContent) print(t terminal) error {
	type group struct {
		name  string
		files int
		bytes int64
		used  time.Time
	}
	var groups []group
	for _, f := range c.Files {
		name := f.Name
		if f.Kind == "fitted" {
			name = path.Dir(name) + "/"
		}
		if len(groups) == 0 || groups[len(groups)-1].name != name {
			groups = append(groups, group{name: name})
		}
		g := &groups[len(groups)-1]
		g.files, g.bytes = g.files+1, g.bytes+f.Bytes
		if f.Used.After(g.used) {
			g.used = f.Used
		}
	}
	var b strings.Builder
	if len(groups) > 0 {
		tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(tw, "files\tsize\tlast used\t  name")
		for _, g := range groups {
			fmt.Fprintf(tw, "%d\t%s\t%s\t  %s\n", g.files, byteSize(g.bytes), g.used.Format(time.DateOnly), g.name)
		}
		tw.Flush() // returns no error, as it writes to a strings.Builder
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s: %s, %s\n", c.Folder, phrase.Count(len(c.Files), "file"), byteSize(c.Bytes))
	return printStyled(t.out, b.String(), headed("files"))
}

func (c *cacheClearCommand) Run(ctx context.Context, t terminal) error {
	var age time.Duration
	if c.OlderThan != "" {
		var err error
		if age, err = parseAge(c.OlderThan); err != nil {
			return usageError{fmt.Errorf("--older-than %w", err)}
		}
	}
	root, folder, err := openCacheFolder()
	if err != nil {
		return err
	}
	if root != nil {
		defer root.Close() // what was removed is gone
	}
	content, err := readCache(root, folder)
	if err != nil {
		return err
	}
	removed := cacheContent{Folder: folder, Files: []cachedFile{}}
	for _, f := range content.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.OlderThan != "" && time.Since(f.Used) <= age {
			continue
		}
		if err := root.Remove(f.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cache: %w", err)
		}
		if dir := path.Dir(f.Name); f.Kind == "fitted" {
			root.Remove(dir) // fails, as it should, while other files are in it
		}
		removed.Files, removed.Bytes = append(removed.Files, f), removed.Bytes+f.Bytes
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(removed)
	}
	_, err = fmt.Fprintf(t.out, "removed %s, %s, from %s; kept %s\n", phrase.Count(len(removed.Files), "file"), byteSize(removed.Bytes),
		filepath.Clean(folder), phrase.Count(len(content.Files)-len(removed.Files), "file"))
	return err
}

// parseAge reads a time span such as 30d, 2w or 12h.
func parseAge(text string) (time.Duration, error) {
	want := fmt.Errorf("%q: want an age such as 30d, 2w or 12h", text)
	if text == "" {
		return 0, want
	}
	unit := map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[text[len(text)-1:]]
	if unit == 0 {
		age, err := time.ParseDuration(text)
		if err != nil || age < 0 {
			return 0, want
		}
		return age, nil
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 16)
	if err != nil || n > 36500 {
		return 0, want
	}
	return time.Duration(n) * unit, nil
}

// byteSize writes a number of bytes for people.
func byteSize(n int64) string {
	if n < 1000 {
		return phrase.Count(n, "byte")
	}
	size, unit := float64(n)/1e3, "kB"
	for _, larger := range []string{"MB", "GB", "TB"} {
		if size < 999.95 {
			break
		}
		size, unit = size/1e3, larger
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}
