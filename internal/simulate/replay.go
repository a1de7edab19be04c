package simulate

import (
	"io"
	"net/http"
	"time"
)

// ServeHTTP records the request and sends the next response.
func (s *Script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The server notices that a client goes away only after the body was read.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client is gone already
	}
	s.mu.Lock()
	answer := &s.Responses[min(len(s.requests), len(s.Responses)-1)]
	s.requests = append(s.requests, Received{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: body})
	s.mu.Unlock()

	for _, step := range answer.Before {
		step.then(r)
	}
	if answer.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	for key, values := range answer.Header {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.Status)
	for _, step := range answer.Body {
		if _, err := w.Write(step.Text); err != nil {
			panic(http.ErrAbortHandler)
		}
		if step.Then == ThenEnd {
			return
		}
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		step.then(r)
	}
}

// then does what the step says after its text.
func (s *Step) then(r *http.Request) {
	switch s.Then {
	case ThenPause:
		timer := time.NewTimer(s.Pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	case ThenHang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case ThenCut:
		panic(http.ErrAbortHandler)
	}
}
