package collect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/journal"
	"github.com/carrot-router/carrot/internal/judge"
)

// What a line of the journal says.
const (
	lineBegin   = "begin"   // a call is about to be sent
	lineEnd     = "end"     // a call has ended
	lineVerdict = "verdict" // an answer was judged
	lineBatch   = "batch"   // a batch is about to be submitted, was submitted, or has ended
)

// How a call ended.
const (
	outcomeAnswered = "answered"
	outcomeFailed   = "failed"  // and nothing is billed for it
	outcomeUnknown  = "unknown" // no answer was read, and it may be billed
)

// What a call is for.
const (
	forAnswer = "answer"
	forJudge  = "judge"
)

// line is a line of the journal. Which fields it has depends on what it says.
type line struct {
	Line string    `json:"line"`
	Time time.Time `json:"time"`
	Call int64     `json:"call,omitempty"` // number of the call, from 1

	// Of begin.
	Key   string     `json:"key,omitempty"` // what was asked: hash of model, settings and messages
	For   string     `json:"for,omitempty"`
	Model string     `json:"model,omitempty"`
	Query string     `json:"query,omitempty"`
	Tier  string     `json:"tier,omitempty"` // flex or batch; empty: standard
	Held  carrot.USD `json:"held_usd,omitempty"`
	Batch string     `json:"batch,omitempty"` // our key of the batch that the call is in

	// Of end.
	Outcome     string        `json:"outcome,omitempty"`
	Text        string        `json:"text,omitempty"`
	Truncated   bool          `json:"truncated,omitempty"`
	Refused     bool          `json:"refused,omitempty"`
	Usage       *carrot.Usage `json:"usage,omitempty"`
	Estimated   bool          `json:"estimated,omitempty"` // the usage is our own count
	Cost        carrot.USD    `json:"cost_usd,omitempty"`
	CostUnknown bool          `json:"cost_unknown,omitempty"` // what was held counts
	Error       string        `json:"error,omitempty"`        // without texts of the prompt

	// Of verdict. Key is that of the answer.
	Judge   string       `json:"judge,omitempty"` // hash of the judge's configuration
	Number  int          `json:"number,omitempty"`
	Score   float64      `json:"score,omitempty"`
	Final   string       `json:"final,omitempty"`
	Votes   []judge.Vote `json:"votes,omitempty"`
	Unknown bool         `json:"not_judged,omitempty"`
	Note    string       `json:"note,omitempty"`

	// Of batch. Key is our key of it.
	Provider string `json:"provider,omitempty"`
	ID       string `json:"id,omitempty"` // the provider's
	State    string `json:"state,omitempty"`
}

// verdictKey identifies a verdict: of an answer, by a judge, which may judge it again.
type verdictKey struct {
	answer, judge string
	number        int
}

// book is what the journal knows: all calls, and what was spent. It is safe for
// concurrent use.
type book struct {
	mu       sync.Mutex
	file     *os.File
	lock     io.Closer
	failed   error // the journal cannot be written any more
	calls    int64 // the highest number of a call
	open     map[int64]*line
	answers  map[string]*call // by key; only answered ones
	verdicts map[verdictKey]*line
	batches  map[string]*line // the latest line of each
	ended    []*call          // all that have ended, and those that were lost
	lost     int              // calls without an end in the journal as it was opened
	failing  map[string]bool  // keys that had failed and no answer when it was opened
}

// call is a call that has ended, or was lost.
type call struct {
	begin *line
	end   *line // nil: lost
}

// cost returns what the call counts.
func (c *call) cost() (amount carrot.USD, known bool) {
	if c.end == nil || c.end.CostUnknown {
		return c.begin.Held, false
	}
	return c.end.Cost, true
}

const journalName = "calls.jsonl"

// openBook opens the journal in a folder, or begins one. A last line that is cut, as by
// a crash, is removed: its call was not sent, or counts as lost.
func openBook(dir string) (_ *book, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	b := &book{open: map[int64]*line{}, answers: map[string]*call{}, verdicts: map[verdictKey]*line{}, batches: map[string]*line{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.lock, err = journal.Lock(filepath.Join(dir, "lock")); err != nil {
		if errors.Is(err, journal.ErrBusy) {
			return nil, fmt.Errorf("%s: another carrot collect writes there", dir)
		}
		return nil, err
	}
	if b.file, err = os.OpenFile(filepath.Join(dir, journalName), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	whole, err := b.load()
	if err != nil {
		return nil, err
	}
	if err := b.file.Truncate(whole); err != nil {
		return nil, err
	}
	if _, err := b.file.Seek(whole, io.SeekStart); err != nil {
		return nil, err
	}
	b.failing = map[string]bool{}
	for _, c := range b.ended {
		if b.answers[c.begin.Key] == nil {
			b.failing[c.begin.Key] = true
		}
	}
	for _, begin := range b.open {
		if begin.Batch == "" {
			b.lost++
			b.ended = append(b.ended, &call{begin: begin})
		}
	}
	return b, nil
}

// load reads the journal and returns the length of its whole lines.
func (b *book) load() (whole int64, err error) {
	r := bufio.NewReaderSize(b.file, 1<<20)
	for number := 1; ; number++ {
		text, err := r.ReadBytes('\n')
		if err == io.EOF {
			return whole, nil // text is cut
		}
		if err != nil {
			return 0, err
		}
		l := new(line)
		if err := json.Unmarshal(text, l); err != nil {
			return 0, fmt.Errorf("%s:%d: not a line of this journal: %w", b.file.Name(), number, err)
		}
		if err := b.note(l); err != nil {
			return 0, fmt.Errorf("%s:%d: %w", b.file.Name(), number, err)
		}
		whole += int64(len(text))
	}
}

// note takes in a line.
func (b *book) note(l *line) error {
	switch l.Line {
	case lineBegin:
		b.open[l.Call] = l
		b.calls = max(b.calls, l.Call)
	case lineEnd:
		begin := b.open[l.Call]
		if begin == nil {
			return fmt.Errorf("call %d ends without a beginning", l.Call)
		}
		delete(b.open, l.Call)
		c := &call{begin, l}
		b.ended = append(b.ended, c)
		if l.Outcome == outcomeAnswered {
			if l.Usage == nil {
				return fmt.Errorf("call %d is answered without a usage", l.Call)
			}
			b.answers[begin.Key] = c
		}
	case lineVerdict:
		b.verdicts[verdictKey{l.Key, l.Judge, l.Number}] = l
	case lineBatch:
		if before := b.batches[l.Key]; before != nil {
			l.Time = before.Time // that of its submission
		}
		b.batches[l.Key] = l
	default:
		return fmt.Errorf("no line is called %q: a newer release has written it", l.Line)
	}
	return nil
}

// write appends lines to the journal. When it returns, they are with the operating
// system; sync makes them last longer.
func (b *book) write(lines ...*line) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	for _, l := range lines {
		l.Time = time.Now().UTC()
		if err := e.Encode(l); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed != nil {
		return b.failed
	}
	if _, err := b.file.Write(text.Bytes()); err != nil {
		b.failed = fmt.Errorf("write the journal: %w", err) // part of a line may be there
		return b.failed
	}
	for _, l := range lines {
		if err := b.note(l); err != nil {
			return err
		}
	}
	return nil
}

// number returns the number of a new call.
func (b *book) number() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	return b.calls
}

// answer returns the answered call of a key, nil if there is none.
func (b *book) answer(key string) *call {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.answers[key]
}

// verdict returns the verdict on an answer, nil if it was not judged.
func (b *book) verdict(k verdictKey) *line {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.verdicts[k]
}

// spent returns what all calls that have ended count.
func (b *book) spent() (sum carrot.USD) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.ended {
		amount, _ := c.cost()
		sum += amount
	}
	return sum
}

// sync has the disk keep what was written.
func (b *book) sync() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.file.Sync()
}

func (b *book) close() error {
	var problems []error
	if b.file != nil {
		problems = append(problems, b.file.Sync(), b.file.Close())
	}
	if b.lock != nil {
		problems = append(problems, b.lock.Close())
	}
	return errors.Join(problems...)
}
