package dataset

import (
	"context"
	"fmt"
	"io"

	"github.com/carrot-router/carrot/internal/textfile"
)

var answerColumns = []string{"id", "model", "answer"}

// Answer is the final answer of one model to one query, usually as a short hash:
// equal answers have equal hashes, and "" means that no answer was found.
type Answer struct {
	ID    string // of the query
	Model string
	Hash  string
}

// ReadAnswers reads answers.csv, plain or gzipped, from r and calls fn with every
// answer and the line on which it begins, as [ReadOutcomes] does.
func ReadAnswers(r io.Reader, name string, fn func(line int, a Answer) error) error {
	l, err := textfile.NewReader(context.Background(), r, name)
	if err != nil {
		return formatError(err)
	}
	err = scanAnswers(l, stopAtFirst, func(c *textfile.CSV, fields [][]byte) error {
		return fn(c.First(), Answer{ID: string(fields[0]), Model: string(fields[1]), Hash: string(fields[2])})
	})
	return formatError(err)
}

func scanAnswers(l *textfile.Reader, report reporter, fn func(c *textfile.CSV, fields [][]byte) error) error {
	c := textfile.NewCSV(l)
	_, columns, err := readHeader(c, answerColumns, nil)
	if err != nil {
		return err
	}
	return c.Records(columns, report.text, func(fields [][]byte) error {
		if bad := checkNames(c, fields[0], fields[1]); bad != nil {
			return report.text(bad)
		}
		return fn(c, fields)
	})
}

// answersFile reads the answers of a folder, if it has the file.
func (l *loader) answersFile(ctx context.Context) error {
	n, m := len(l.set.Queries), len(l.set.Models)
	var lines []uint32 // line of each answer, mod 2^32
	return l.open(ctx, "answers.csv", false, func(lr *textfile.Reader) error {
		l.set.Answers = newAnswers(n, m)
		lines = make([]uint32, n*m)
		return scanAnswers(lr, l.report, func(c *textfile.CSV, fields [][]byte) error {
			i, j, bad := l.cell(c, fields[0], fields[1])
			if bad != nil || i < 0 {
				return l.reportIf(bad)
			}
			if at := lines[i*m+j]; at != 0 {
				return l.report.text(c.Fault("id", fmt.Sprintf("%s with model %s repeats line %d", textfile.Quote(fields[0]), textfile.Quote(fields[1]), at),
					"keep one answer for each query and model"))
			}
			lines[i*m+j] = uint32(c.First())
			if len(fields[2]) > 0 {
				l.set.Answers[i][j] = string(fields[2])
			}
			return nil
		})
	})
}
