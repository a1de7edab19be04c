package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// The limits of texts that clients and providers write, in bytes. Prompts and answers
// have no limit here, but they are recorded only if the configuration asks for it.
const (
	maxName  = 256
	maxError = 4 << 10
)

// Bounded returns the attempt with the texts that clients and providers write cut to
// their limits: names and ids to 256 bytes, error messages to 4 KiB. What is cut ends with
// "…" and its full length. It is a itself if nothing is too long. Recorders keep what
// Bounded returns, so that nobody can fill them; names from the configuration, such as
// models and clients, prompts and answers are not cut.
func (a *Attempt) Bounded() *Attempt {
	if len(a.RequestID) <= maxName && len(a.Session) <= maxName && len(a.UpstreamModel) <= maxName &&
		len(a.AnswerID) <= maxName && len(a.UpstreamRequestID) <= maxName && len(a.ErrorCode) <= maxName && len(a.Error) <= maxError {
		return a
	}
	b := *a
	for _, s := range []*string{&b.RequestID, &b.Session, &b.UpstreamModel, &b.AnswerID, &b.UpstreamRequestID, &b.ErrorCode} {
		*s = cut(*s, maxName)
	}
	b.Error = cut(b.Error, maxError)
	return &b
}

// cut shortens a text that is over a limit; its end then says how long it was.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	mark := fmt.Sprintf("… (%d bytes)", len(s))
	n := limit - len(mark)
	for i := 0; i < utf8.UTFMax && n > 0 && !utf8.RuneStart(s[n]); i++ {
		n--
	}
	return s[:n] + mark
}

// begins is how every row begins.
const begins = `{"schema":"` + Schema + `",`

// endLine makes a file end with a whole line and returns its size. An incomplete row at
// the end, which a crash left, is removed. Anything else, such as a row without its line
// break, is given a line break: what is not part of a record must not be deleted.
func endLine(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return 0, err
	}
	size := info.Size()
	start, err := lastLine(f, size)
	if err != nil || start == size {
		return size, err
	}
	line := io.NewSectionReader(f, start, size-start)
	head := make([]byte, min(int64(len(begins)), size-start))
	if _, err := io.ReadFull(line, head); err != nil {
		return size, err
	}
	if strings.HasPrefix(begins, string(head)) && !isValue(io.NewSectionReader(f, start, size-start)) && f.Truncate(start) == nil {
		return start, nil
	}
	_, err = f.WriteString("\n")
	return size + 1, err
}

// lastLine returns where the last line of a file begins: its size if it ends with a line break.
func lastLine(f io.ReaderAt, size int64) (int64, error) {
	block := make([]byte, flushBytes)
	for end := size; end > 0; {
		b := block[:min(end, flushBytes)]
		end -= int64(len(b))
		if _, err := f.ReadAt(b, end); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
			return end + int64(i) + 1, nil
		}
	}
	return 0, nil
}

// isValue reports whether r begins with a complete JSON value.
func isValue(r io.Reader) bool {
	var v json.RawMessage
	return json.NewDecoder(r).Decode(&v) == nil
}

// countLines counts the lines of a file.
func countLines(name string) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var lines int64
	for block := make([]byte, flushBytes); ; {
		n, err := f.Read(block)
		lines += int64(bytes.Count(block[:n], []byte{'\n'}))
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
	}
}
