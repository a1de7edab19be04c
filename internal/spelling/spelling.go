// Package spelling suggests what a mistyped name most likely means.
package spelling

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Suggest returns the end of an error about a name that is not valid: "did you mean
// …?", or the valid names.
func Suggest(name string, valid []string) string {
	if near := Nearest(name, valid); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	switch len(valid) {
	case 0:
		return "there are none"
	case 1:
		return "want " + valid[0]
	}
	return "want one of " + strings.Join(valid, ", ")
}

// Nearest returns the valid name that a mistyped one most likely means: the one with
// the smallest edit distance, if that is at most a third of the length. If there is
// none, it returns the name closest in length among those that begin with the
// mistyped one, or with which that begins. If several are equally near, it returns
// the first, and "" if none is. It ignores case.
func Nearest(name string, valid []string) string {
	const longest = 128 // since clients send names too
	if len(name) > longest {
		return ""
	}
	folded := []rune(strings.ToLower(name))
	best, least := "", longest
	prefixed, gap := "", longest
	for _, v := range valid {
		other := []rune(strings.ToLower(v))
		if len(other) > longest {
			continue
		}
		if d := editDistance(folded, other); d < min(least, len(folded), len(other)) && d <= max(1, min(len(folded), len(other))/3) {
			best, least = v, d
		}
		short, long := folded, other
		if len(short) > len(long) {
			short, long = long, short
		}
		if d := len(long) - len(short); d < gap && len(short) >= 3 && slices.Equal(short, long[:len(short)]) {
			prefixed, gap = v, d
		}
	}
	return cmp.Or(best, prefixed)
}

// editDistance returns the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func editDistance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row[0] = i + 1
		for j := range b {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
