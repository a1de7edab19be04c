package simulate

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Script is an exchange with a provider, which it replays byte for byte. It is an
// [http.Handler] that answers successive requests with successive responses, and
// all further requests with the last response. A Script must not be copied after
// the first request.
//
// The text form, which is also a txtar archive, is
//
//	A description, in one or more sentences.
//	-- request --
//	{"model":"…"}
//	-- response --
//	HTTP/1.1 429 Too Many Requests
//	Retry-After: 1
//
//	{"error":{…}}
//	-- response --
//	HTTP/1.1 200 OK
//	Content-Type: text/event-stream
//
//	data: {…}
//
//	(pause 50ms)
//	data: {…}
//
//	(cut)
//
// with at most one request and any number of responses. The status line and the
// header end at the empty line. The rest is the body as it is sent, except for
// lines that consist of
//
//	(pause 50ms)    send the text so far, then wait
//	(hang)          send the text so far, then nothing until the client goes away
//	(cut)           send the text so far, then break the connection
//	(cut mid-line)  the same, without the line break before it
//	(end)           end the body here rather than at the next section, for a body
//	                that ends with an empty line
//
// These lines, except (end), may also come before the status line, and then take
// effect before the status is sent. It is an error if text follows (hang), a cut or
// (end).
type Script struct {
	Comment   string
	Request   []byte // the body of the request, may be empty
	Responses []Response

	mu       sync.Mutex
	requests []Received
}

// Response is one answer of a script.
type Response struct {
	Before []Step // what happens before the status; these steps have no text
	Status int    // 0 if the client never gets a status
	Header http.Header
	Body   []Step
}

// Step is a part of a body and what happens after it is sent.
type Step struct {
	Text  []byte
	Then  Then
	Pause time.Duration // how long, for ThenPause
}

// Then is what happens after a part of a body.
type Then int

// The values of Then.
const (
	ThenEnd   Then = iota // the body ends normally
	ThenPause             // a pause, after which more follows
	ThenHang              // nothing more is sent until the client goes away
	ThenCut               // the connection breaks
)

// Received is a request that a script received.
type Received struct {
	Method string
	Path   string // including the query
	Header http.Header
	Body   []byte
}

// ParseScript reads the text form of a script. Errors name the line.
func ParseScript(data []byte) (*Script, error) {
	s := &Script{}
	p := scriptParser{lines: bytes.SplitAfter(data, []byte("\n"))}
	comment, _ := p.section()
	s.Comment = strings.TrimSpace(string(comment))
	requested := false
	for p.at < len(p.lines) {
		line := p.at + 1
		name, _ := marker(p.lines[p.at])
		p.at++
		switch {
		case name == "response":
			response, err := p.response()
			if err != nil {
				return nil, fmt.Errorf("parse script: %w", err)
			}
			s.Responses = append(s.Responses, response)
		case name == "request" && !requested:
			requested = true
			body, _ := p.section()
			s.Request = bytes.TrimRight(body, "\r\n")
		default:
			return nil, fmt.Errorf("parse script: line %d: unexpected section %q: want one request and then responses", line, name)
		}
	}
	if len(s.Responses) == 0 {
		return nil, fmt.Errorf("parse script: line %d: the section %q is missing", len(p.lines), "response")
	}
	return s, nil
}

// marker returns the name of the section that a line begins.
func marker(line []byte) (string, bool) {
	text, ok := strings.CutPrefix(strings.TrimRight(string(line), " \r\n"), "-- ")
	if !ok {
		return "", false
	}
	name, ok := strings.CutSuffix(text, " --")
	return strings.TrimSpace(name), ok && strings.TrimSpace(name) != ""
}

// scriptParser reads the lines of a script, including their line breaks.
type scriptParser struct {
	lines [][]byte
	at    int
}

// section returns the text up to the next section, and the number of its first line.
func (p *scriptParser) section() ([]byte, int) {
	from := p.at
	for p.at < len(p.lines) {
		if _, ok := marker(p.lines[p.at]); ok {
			break
		}
		p.at++
	}
	return bytes.Join(p.lines[from:p.at], nil), from + 1
}

// response reads a response section.
func (p *scriptParser) response() (Response, error) {
	var r Response
	start := p.at
	_, _ = p.section()
	lines := p.lines[start:p.at]
	i := 0
	for ; i < len(lines); i++ {
		step, kind, err := directive(lines[i])
		if err != nil {
			return r, fmt.Errorf("line %d: %w", start+i+1, err)
		}
		if kind == notDirective {
			break
		}
		if step.Then == ThenEnd {
			return r, fmt.Errorf("line %d: (end) before the status line", start+i+1)
		}
		r.Before = append(r.Before, step)
		if step.Then != ThenPause {
			return r, p.nothing(lines, start, i+1)
		}
	}
	head := i
	for i < len(lines) && len(bytes.TrimRight(lines[i], "\r\n")) > 0 {
		i++
	}
	if err := r.head(bytes.Join(lines[head:i], nil)); err != nil {
		return r, fmt.Errorf("line %d: %w", start+head+1, err)
	}
	return r, p.body(&r, lines, start, i+1)
}

// head reads the status line and the header.
func (r *Response) head(text []byte) error {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	version, status, _ := strings.Cut(strings.TrimSpace(string(first)), " ")
	code, _, _ := strings.Cut(status, " ")
	n, err := strconv.Atoi(code)
	if !strings.HasPrefix(version, "HTTP/") || err != nil || n < 200 || n > 599 {
		return fmt.Errorf("status line %.100q: want, for example, %q", first, "HTTP/1.1 200 OK")
	}
	r.Status = n
	header, err := textproto.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(rest), strings.NewReader("\n\n")))).ReadMIMEHeader()
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	r.Header = http.Header(header)
	return nil
}

// body reads the lines of the body, starting at line i.
func (p *scriptParser) body(r *Response, lines [][]byte, start, i int) error {
	var text []byte
	for ; i < len(lines); i++ {
		step, kind, err := directive(lines[i])
		if err != nil {
			return fmt.Errorf("line %d: %w", start+i+1, err)
		}
		if kind == notDirective {
			text = append(text, lines[i]...)
			continue
		}
		if kind == midLine {
			text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		}
		step.Text, text = text, nil
		r.Body = append(r.Body, step)
		if step.Then != ThenPause {
			return p.nothing(lines, start, i+1)
		}
	}
	r.Body = append(r.Body, Step{Text: text})
	return nil
}

// nothing checks that only empty lines follow.
func (p *scriptParser) nothing(lines [][]byte, start, i int) error {
	for ; i < len(lines); i++ {
		if text := bytes.TrimSpace(lines[i]); len(text) > 0 {
			return fmt.Errorf("line %d: %.100q comes after the end and can never be sent", start+i+1, text)
		}
	}
	return nil
}

// Kinds of lines.
const (
	notDirective = iota
	wholeLine
	midLine
)

// directive reads a line in parentheses. Unknown lines are text, but a pause with
// an invalid duration is an error.
func directive(line []byte) (Step, int, error) {
	text := string(bytes.TrimRight(line, " \r\n"))
	switch text {
	case "(hang)":
		return Step{Then: ThenHang}, wholeLine, nil
	case "(cut)":
		return Step{Then: ThenCut}, wholeLine, nil
	case "(cut mid-line)":
		return Step{Then: ThenCut}, midLine, nil
	case "(end)":
		return Step{Then: ThenEnd}, wholeLine, nil
	}
	inner, ok := strings.CutPrefix(text, "(pause ")
	if !ok || !strings.HasSuffix(inner, ")") {
		return Step{}, notDirective, nil
	}
	pause, err := time.ParseDuration(strings.TrimSuffix(inner, ")"))
	if err != nil || pause < 0 {
		return Step{}, notDirective, fmt.Errorf("%q: want, for example, %q", text, "(pause 50ms)")
	}
	return Step{Then: ThenPause, Pause: pause}, wholeLine, nil
}

// Requests returns the requests received so far.
func (s *Script) Requests() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Reset forgets the requests and starts again with the first response.
func (s *Script) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}
