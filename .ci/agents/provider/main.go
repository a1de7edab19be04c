// Command provider answers like three vendors at once, for checks of agents:
//
//	provider [-listen ADDRESS]
//
// It serves OpenAI's chat completions and responses and Anthropic's messages, whole
// and streamed, at any base path, for any model, and prints its URL in a line when it
// is ready. Requests that break a rule of the vendor are answered with 400 in the
// vendor's form. Every API key is an account of its own: what one account signed,
// encrypted or stored is of no use to another.
//
// The model obeys the user. In the last text of the user it looks for directives:
//
//	[[call NAME JSON]]                  calls the tool NAME with these arguments
//	[[call a {}]]+[[call b {}]]         two calls in one answer
//
// Each answer carries out the next of them; how many calls have had results
// since says which that is. JSON for a tool whose input is text is a string. A tool in a
// namespace may be called by its own name or as NAMESPACE__NAME. When no directive is
// left, the answer is "Done: " and the first 200 characters of the last result, or
// "You said: " and the first 80 characters of the user's text. A structured answer is
// the least JSON that the schema allows, with that text in its strings. A model asked
// to think does so first.
//
// With [[down API]] in that text, such as [[down chat]], the API is overloaded once a
// call of the turn has had its result.
//
// A name that ends in a number of thousands, such as m-40k, is that of a model with so
// many tokens of context, and longer prompts are refused.
//
// GET /log returns the requests so far, one JSON object a line: api, path, status,
// error, account, betas, user_agent, request, answer. With ?with=TEXT it returns only
// those whose request contains the text.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatal("usage: provider [-listen ADDRESS]")
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("http://" + listener.Addr().String())
	server := &http.Server{Handler: newProvider(), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.Serve(listener))
}

// provider is the server.
type provider struct {
	accounts memory

	mu  sync.Mutex
	log []entry
}

func newProvider() *provider { return &provider{accounts: memory{accounts: map[string]*account{}}} }

// entry is a line of the log.
type entry struct {
	Time    time.Time       `json:"time"`
	API     string          `json:"api"`
	Path    string          `json:"path"`
	Status  int             `json:"status"`
	Error   string          `json:"error,omitempty"`
	Account string          `json:"account"`
	Betas   string          `json:"betas,omitempty"`
	Agent   string          `json:"user_agent"`
	Request json.RawMessage `json:"request"`
	Answer  string          `json:"answer,omitempty"`
}

// vendor is one of the three APIs.
type vendor interface {
	// read checks a request and finds in it what the model looks at.
	read(r *http.Request, body object, who *account) (*talk, *refusal)
	// whole returns an answer as one JSON object.
	whole(t *talk, a *answer) any
	// stream writes an answer as events.
	stream(e *events, t *talk, a *answer)
	// refuse returns the body of an error.
	refuse(e *refusal) any
}

// refusal is an error as vendors report it.
type refusal struct {
	status                     int
	kind, message, param, code string
}

const maxBody = 64 << 20

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	if r.Method == http.MethodGet && strings.HasSuffix(path, "/log") {
		p.writeLog(w, r.URL.Query().Get("with"))
		return
	}
	line := entry{Time: time.Now(), Path: r.URL.RequestURI(), Agent: r.UserAgent(), Betas: strings.Join(r.Header.Values("Anthropic-Beta"), ",")}
	var v vendor
	counts := false
	switch {
	case strings.HasSuffix(path, "/chat/completions"):
		line.API, v = "chat", chat{}
	case strings.HasSuffix(path, "/responses"):
		line.API, v = "responses", responses{}
	case strings.HasSuffix(path, "/messages"):
		line.API, v = "messages", messages{}
	case strings.HasSuffix(path, "/messages/count_tokens"):
		line.API, v, counts = "messages", messages{counts: true}, true
	}
	if v == nil || r.Method != http.MethodPost {
		line.Status, line.Error = http.StatusNotFound, "no such endpoint: "+r.Method+" "+r.URL.Path
		p.add(line)
		http.Error(w, line.Error, line.Status)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var request object
	var bad *refusal
	switch {
	case err != nil:
		bad = &refusal{http.StatusBadRequest, "invalid_request_error", "The body could not be read: " + err.Error(), "", ""}
	case json.Unmarshal(body, &request) != nil:
		bad = &refusal{http.StatusBadRequest, "invalid_request_error", "We could not parse the JSON body of your request.", "", ""}
	}
	key := strings.TrimSpace(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if k := r.Header.Get("X-Api-Key"); k != "" && line.API == "messages" {
		key = k
	}
	line.Account = key
	if json.Valid(body) {
		var compact bytes.Buffer
		json.Compact(&compact, body) // valid JSON can be compacted
		line.Request = compact.Bytes()
	}
	if bad == nil && key == "" {
		bad = &refusal{http.StatusUnauthorized, "authentication_error", "No API key was provided.", "", ""}
	}
	var t *talk
	if bad == nil {
		t, bad = v.read(r, request, p.accounts.account(key))
	}
	if bad == nil && t.down(line.API) {
		bad = &refusal{http.StatusServiceUnavailable, "overloaded_error", "Overloaded", "", ""}
	}
	if bad != nil {
		line.Status, line.Error = bad.status, bad.message
		p.add(line)
		writeJSON(w, bad.status, v.refuse(bad))
		return
	}
	line.Status = http.StatusOK
	if counts {
		p.add(line)
		writeJSON(w, http.StatusOK, object{"input_tokens": t.usage.all()})
		return
	}
	a := t.answer()
	line.Answer = a.String()
	p.add(line) // before the client can see the end
	if !t.stream {
		writeJSON(w, http.StatusOK, v.whole(t, a))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	v.stream(&events{w: w, flush: http.NewResponseController(w).Flush}, t, a)
}

func (p *provider) add(e entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, e)
}

func (p *provider) writeLog(w http.ResponseWriter, with string) {
	p.mu.Lock()
	lines := p.log[:len(p.log):len(p.log)]
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/jsonl")
	for _, e := range lines {
		if !bytes.Contains(e.Request, []byte(with)) {
			continue
		}
		if e.Request == nil {
			e.Request = json.RawMessage("null")
		}
		w.Write(append(marshal(e), '\n'))
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(marshal(v))
}

// marshal returns v as JSON without escaping <, > and &. It must be encodable.
func marshal(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// events writes server-sent events.
type events struct {
	w     io.Writer
	flush func() error
}

// data writes an event without a name.
func (e *events) data(v any) {
	fmt.Fprintf(e.w, "data: %s\n\n", marshal(v))
	e.flush() // an error means that the client is gone
}

// named writes an event with a name, which is also its type.
func (e *events) named(name string, v object) {
	v["type"] = name
	fmt.Fprintf(e.w, "event: %s\ndata: %s\n\n", name, marshal(v))
	e.flush() // an error means that the client is gone
}

// pieces cuts a text into the pieces in which it is streamed.
func pieces(s string) []string {
	const size = 24
	var out []string
	for runes := []rune(s); len(runes) > 0; {
		n := min(size, len(runes))
		out = append(out, string(runes[:n]))
		runes = runes[n:]
	}
	return out
}

// done writes the end of a stream of chat completions.
func (e *events) done() {
	io.WriteString(e.w, "data: [DONE]\n\n")
	e.flush() // an error means that the client is gone
}
