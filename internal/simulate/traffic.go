package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// Sender is a client that sends invented requests.
type Sender struct {
	Key    string   // empty: none is sent
	Models []string // which it asks for: policies, and models by name
	Share  int      // how many of its conversations there are for one of a sender with 1
}

// Traffic sends invented conversations to a gateway: questions of several kinds in all three
// APIs, some of them streams, some with further turns, some unlike any training data, and
// feedback on some answers. Equal seeds send equal conversations.
type Traffic struct {
	URL     string // of the gateway, without a path
	Seed    uint64
	Senders []Sender
}

// The conversations of the first seconds come faster, so that there is something to see.
// After a while they come more slowly, because a demonstration may be left to run.
var rhythm = []struct{ until, pause time.Duration }{{10 * time.Second, 180 * time.Millisecond}, {10 * time.Minute, 450 * time.Millisecond}, {0, 2 * time.Second}}

// inFlight is the most conversations at once.
const inFlight = 24

// Run sends requests until ctx is done, and returns when all of them have ended.
func (t *Traffic) Run(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight}}
	defer client.CloseIdleConnections()
	var sending sync.WaitGroup
	defer sending.Wait()
	free := make(chan struct{}, inFlight)
	begin, phase := time.Now(), 0
	for i := uint64(0); ; i++ {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return
		}
		sending.Go(func() {
			defer func() { <-free }()
			t.hold(ctx, client, t.invent(i))
		})
		for rhythm[phase].until > 0 && time.Since(begin) > rhythm[phase].until {
			phase++
		}
		select {
		case <-time.After(rhythm[phase].pause):
		case <-ctx.Done():
			return
		}
	}
}

// talk is what is said in a conversation.
type talk struct {
	sender  Sender
	name    string // of the session; empty: none
	path    string // of the API
	model   string
	stream  bool
	limit   int // of output tokens; 0: none
	seed    bool
	turns   []string
	opinion float64 // below it, feedback follows
	taste   float64 // answers whose expected quality is above are good
}

// invent invents the conversation of a number.
func (t *Traffic) invent(number uint64) talk {
	r := rand.New(rand.NewPCG(t.Seed, number))
	var c talk
	shares := 0
	for _, s := range t.Senders {
		shares += s.Share
	}
	at := r.IntN(shares)
	for _, s := range t.Senders {
		if at < s.Share {
			c.sender = s
			break
		}
		at -= s.Share
	}
	c.model = c.sender.Models[r.IntN(len(c.sender.Models))]
	c.path = pick(r, []string{"chat/completions", "chat/completions", "chat/completions", "responses", "messages"})
	c.stream = r.IntN(3) == 0
	if r.IntN(4) == 0 || c.path == "messages" { // which demands one
		c.limit = 200 + 100*r.IntN(8)
	}
	c.seed = r.IntN(8) == 0
	c.opinion, c.taste = r.Float64(), r.Float64()
	c.turns = []string{fillIn(r, pick(r, questions))}
	if r.IntN(5) == 0 {
		c.name = "conversation-" + strconv.FormatUint(number, 10)
		for range 1 + r.IntN(3) {
			c.turns = append(c.turns, fillIn(r, pick(r, followUps)))
		}
	}
	return c
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// hold sends the turns of a conversation, one after the other.
func (t *Traffic) hold(ctx context.Context, client *http.Client, c talk) {
	for n := range c.turns {
		header, err := t.post(ctx, client, c, "/v1/"+c.path, c.body(n))
		if err != nil {
			return // refused, or all models failed: a caller would give up, too
		}
		if quality, err := strconv.ParseFloat(header.Get("X-Carrot-Quality"), 64); err == nil && c.opinion < .35 {
			opinion := map[string]any{"request_id": header.Get("X-Carrot-Request-Id"), "thumb": "down"}
			if c.taste < quality {
				opinion["thumb"] = "up"
			}
			if _, err := t.post(ctx, client, c, "/v1/feedback", opinion); err != nil {
				return
			}
		}
	}
}

// post sends a request, and returns the header of its answer.
func (t *Traffic) post(ctx context.Context, client *http.Client, c talk, path string, body map[string]any) (http.Header, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.sender.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.sender.Key)
	}
	if c.name != "" {
		r.Header.Set("X-Carrot-Session", c.name)
	}
	if c.path == "messages" {
		r.Header.Set("Anthropic-Version", "2023-06-01")
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	return answer.Header, nil
}

// body returns the request of a turn, in the form of the conversation's API.
func (c *talk) body(turn int) map[string]any {
	var said []map[string]string
	for i, text := range c.turns[:turn+1] {
		if i > 0 {
			said = append(said, map[string]string{"role": "assistant", "content": "This is the answer to question " + strconv.Itoa(i) + "."})
		}
		said = append(said, map[string]string{"role": "user", "content": text})
	}
	body := map[string]any{"model": c.model, "messages": said}
	limit := "max_tokens"
	if c.path == "responses" {
		body = map[string]any{"model": c.model, "input": said}
		limit = "max_output_tokens"
	}
	if c.stream {
		body["stream"] = true
	}
	if c.limit > 0 {
		body[limit] = c.limit
	}
	if c.seed && c.path == "chat/completions" {
		body["seed"] = 7 // which not every provider has
	}
	return body
}

var blank = regexp.MustCompile(`#|\b[A-Z]{5,}\b`)

// fillIn fills in a text: # stands for a number, and some words in capitals for one of a list.
func fillIn(r *rand.Rand, text string) string {
	return blank.ReplaceAllStringFunc(text, func(word string) string {
		switch list := words[word]; {
		case word == "#":
			return strconv.Itoa(2 + r.IntN(97))
		case list != nil:
			return pick(r, list)
		}
		return word
	})
}

var words = map[string][]string{
	"THINGS": {"lamps", "bicycles", "books", "chairs", "kettles", "parcels", "violins", "tents"},
	"PLACE":  {"Oslo", "Lima", "Nairobi", "Osaka", "Porto", "Toronto", "a small village", "the harbour"},
	"PERSON": {"a nurse", "a shop owner", "a new colleague", "a ten-year-old", "a farmer", "an engineer"},
	"TOPIC":  {"compound interest", "vaccines", "photosynthesis", "the water cycle", "plate tectonics", "supply and demand", "entropy", "the French Revolution", "binary search", "habeas corpus"},
	"FIELD":  {"physics", "biology", "economics", "law", "chemistry", "psychology", "computer science"},
}

// questions are of the kinds that gateways see: tasks with one right answer, as the default
// router has learnt from, and everyday ones, code and other languages, which it has not.
var questions = []string{
	"What is # * # + #?",
	"Anna has # THINGS. She buys twice as many and gives # of them to PERSON. How many THINGS does she have left?",
	"PERSON reads # pages of a book every day. After # days half of the book is read. How many pages does the book have?",
	"PERSON earns # euros an hour and works # hours a week. The rent is # euros. How much is left after # weeks?",
	"Let $f(x) = #x^2 - #x + #$. Find the least value of $f(x)$.",
	"Find the remainder when $2^{#}$ is divided by #.",
	"The sum of two numbers is # and their product is #. What is the sum of their squares?",
	"You are given a Python function and an input. What does it return? def f(xs): return [x * # for x in xs if x > #] Input: [#, #, #, #]",
	"A shop in PLACE buys # THINGS for # euros each and sells all but # of them for # euros each. What does it gain? Show each step.",
	"A train leaves PLACE at # km/h, and another follows # minutes later at # km/h. When does it catch up?",
	"How many ways are there to put # THINGS on # shelves, if no shelf may be empty? Prove your answer.",
	"Prove that the sum of # consecutive odd numbers is divisible by #, or give a counterexample.",
	"Explain TOPIC to PERSON in # sentences.",
	"Which of these is an example of TOPIC? A) THINGS in PLACE B) # THINGS C) both D) neither. Answer with one letter and a reason.",
	"Summarise in three points what PERSON should know about TOPIC.",
	"Write a short and friendly email to a customer in PLACE whose # THINGS have not arrived.",
	"Give a title to an article about TOPIC and THINGS.",
	"Compare two theories of TOPIC that are taught in FIELD. Which has the better evidence, and why?",
	"Question of an examination in FIELD: if # of # THINGS in PLACE are faulty, what is the probability that two drawn at random are? Options: A) below 1% B) 1% to 10% C) above 10%.",
	"Is this review positive or negative? \"The THINGS came late to PLACE, but they are worth every one of the # euros.\"",
	"Turn this into JSON with the keys name, place and number: # THINGS were sent to PLACE by PERSON.",
	"Write a Go function that returns the # largest of a slice of THINGS by price, without sorting all of it.",
	"SELECT place, COUNT(*) FROM things GROUP BY place HAVING COUNT(*) > #; -- why is this slow with # million rows, and which index helps?",
	"def f(n):\n    return n if n < # else f(n - 1) + f(n - 2)\n\nWhat does f return for n = # and how often is it called?",
	"Schreibe PERSON in höchstens # Wörtern, warum TOPIC wichtig ist.",
	"Cuéntame un cuento de # frases sobre THINGS perdidos en PLACE.",
	"PLACE で THINGS を # 個買いました。一つ # 円なら、合計はいくらですか。",
	"Eleza kwa sentensi # kwa nini TOPIC ni muhimu kwa PERSON.",
}

var followUps = []string{
	"Shorter, please.",
	"Explain the second step again, for PERSON.",
	"And if there were # more?",
	"Are you sure? Check it in another way.",
	"Now say the same about TOPIC.",
}
