package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/carrot-router/carrot/internal/phrase"
)

// maxLine is the longest line that is read, in bytes. An attempt may hold the whole
// body of a request.
const maxLine = 256 << 20

// Read returns the attempts in a file with one attempt on each line. It skips blank
// lines. A line that is not an attempt yields a nil attempt and an error with the
// number of the line, and reading continues with the next line. An error of r, or a
// line longer than 256 MiB, is the last element of the sequence.
func Read(r io.Reader) iter.Seq2[*Attempt, error] {
	return func(yield func(*Attempt, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxLine)
		number := 0
		for lines.Scan() {
			number++
			if len(bytes.TrimSpace(lines.Bytes())) == 0 {
				continue
			}
			a := new(Attempt)
			err := json.Unmarshal(lines.Bytes(), a)
			if err != nil {
				a, err = nil, fmt.Errorf("line %d: %w", number, phrase.JSON(err))
			}
			if !yield(a, err) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("line %d: %w", number+1, err))
		}
	}
}
