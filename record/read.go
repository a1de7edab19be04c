package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
)

// maxLine bounds the memory that one attempt takes to read: a record with
// content holds the whole body of a request.
const maxLine = 256 << 20

// Read returns the attempts of a file of records, one a line; blank lines are
// skipped. A line that is not an attempt yields an error that names its number,
// after which the lines that follow can still be read; an error of the reader
// ends the sequence.
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
				a, err = nil, fmt.Errorf("line %d: %w", number, err)
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
