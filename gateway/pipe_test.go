package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

// pipes is a transport to a handler in the same process. It has no buffer, so the caller
// has read everything that the handler has written. A provider that bills what it wrote and
// a gateway that counts what it read must therefore agree to the last token, whenever a
// client hangs up.
type pipes struct {
	handler http.Handler
	serving sync.WaitGroup
}

func (p *pipes) RoundTrip(r *http.Request) (*http.Response, error) {
	reader, writer := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: writer, began: make(chan struct{})}
	stop := make(chan struct{})
	p.serving.Go(func() {
		defer close(stop)
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler {
				panic(v)
			} else if v != nil {
				writer.CloseWithError(io.ErrUnexpectedEOF)
			}
			w.WriteHeader(http.StatusOK)
			writer.Close()
		}()
		p.handler.ServeHTTP(w, r)
	})
	p.serving.Go(func() {
		select {
		case <-stop:
		case <-r.Context().Done():
			writer.CloseWithError(r.Context().Err())
			reader.CloseWithError(r.Context().Err())
		}
	})
	<-w.began // the simulated providers send the status of a stream at once
	return &http.Response{StatusCode: w.status, Status: fmt.Sprint(w.status), Header: w.header, Body: reader, ContentLength: -1, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}, nil
}

type pipeWriter struct {
	header http.Header
	status int
	once   sync.Once
	began  chan struct{}
	body   *io.PipeWriter
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status = status
		close(w.began)
	})
}

func (w *pipeWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}
