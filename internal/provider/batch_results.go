package provider

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
)

// maxResult is the longest line with a result, in bytes.
const maxResult = 64 << 20

// batchResults passes results on, each of them once.
type batchResults struct {
	each func(BatchResult) error
	seen map[string]bool
	mark string // of the batch
	err  error  // of each
}

// add passes on a result with a custom_id. It returns an error if that is not one of the
// batch, or if each failed.
func (b *batchResults) add(id string, r BatchResult) error {
	mark, item, ok := splitCustomID(id)
	if !ok || b.mark != "" && mark != b.mark {
		return &Error{Kind: Invalid, Code: "foreign_batch", Message: "a result has a custom_id that carrot did not give: the batch is not one of carrot's"}
	}
	b.mark = mark
	if b.seen[item] {
		return nil
	}
	r.ID = item
	if b.err = b.each(r); b.err != nil {
		return b.err
	}
	b.seen[item] = true
	return nil
}

// batchLines downloads a file with results and calls line with each of its lines. If the
// download breaks, it begins anew. An error that line returns ends it if stop reports so.
func (u *Upstream) batchLines(ctx context.Context, path string, line func([]byte) error, stop func() error) error {
	account := u.account(0)
	limit := account.Timeouts.Total
	account.Timeouts = Timeouts{} // downloads may take long, but not be silent
	var stopped error
	e := u.batchJob(ctx).Call(Target{Upstream: account}, true, func(t *Try) *Error {
		t.watch.start(Timeouts{FirstToken: limit, Idle: limit}, t.cancel)
		response, err := account.batchRequest(t.Context, http.MethodGet, path, url.Values{}, "", nil, &atomic.Bool{})
		if err == nil {
			t.watch.body = response.Body
			err = eachLine(watched{&t.watch}, line)
			response.Body.Close()
		}
		if stopped = stop(); stopped != nil {
			return nil
		}
		if err != nil {
			return NetworkError(t.Context, err)
		}
		t.Answered()
		return nil
	})
	if stopped != nil {
		return stopped
	}
	if e != nil {
		return e
	}
	return nil
}

// eachLine calls f with each line that is not empty, without its end. The line is
// overwritten afterwards. What was read before an error other than the end is no line.
func eachLine(r io.Reader, f func([]byte) error) error {
	buffered := bufio.NewReaderSize(r, 64<<10)
	var long []byte
	for n := 1; ; n++ {
		line, err := buffered.ReadSlice('\n')
		for err == bufio.ErrBufferFull {
			if long = append(long, line...); len(long) > maxResult {
				return malformed(fmt.Sprintf("line %d of the results is longer than %d MB", n, maxResult>>20))
			}
			line, err = buffered.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return err
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if n == 1 {
			line = withoutMark(line)
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			if failed := f(text); failed != nil {
				return failed
			}
		}
		if err == io.EOF {
			return nil
		}
		long = long[:0]
	}
}
