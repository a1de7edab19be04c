package wire_test

import (
	"fmt"
	"strings"

	"github.com/carrot-router/carrot/internal/wire"
)

// Edit changes only the bytes that must change.
func ExampleEdit() {
	body := `{ "messages":[ {"role":"user","content":"Hi"} ],  "model":"auto","stream":true }`
	fmt.Printf("%s", wire.Edit([]byte(body), wire.Edits{Model: "gpt-4o", AskUsage: true}))
	// Output:
	// {"stream_options":{"include_usage":true}, "messages":[ {"role":"user","content":"Hi"} ],  "model":"gpt-4o","stream":true }
}

func ExampleTranslateRequest() {
	body := `{"model":"m","max_tokens":9,"seed":7,"temperature":1.5,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]}`
	out, err := wire.TranslateRequest([]byte(body), wire.Chat, wire.Messages, wire.Facts{})
	fmt.Printf("%s\ndropped %v, narrowed %v, %v\n", out.Body, out.Notes.Dropped, out.Notes.Narrowed, err)
	_, err = wire.TranslateRequest([]byte(strings.Replace(body, `"seed":7`, `"logprobs":true`, 1)), wire.Chat, wire.Messages, wire.Facts{})
	fmt.Println(err)
	// Output:
	// {"model":"m","max_tokens":9,"system":"Be brief.","messages":[{"role":"user","content":"Hi"}],"temperature":1}
	// dropped [seed], narrowed [temperature=1], <nil>
	// chat cannot be sent as messages: field logprobs: the other API returns no probabilities
}

func ExampleDecoder() {
	events := wire.NewDecoder(strings.NewReader("event: ping\ndata: {}\n\n: a comment\n\ndata: [DONE]\n\n"))
	for {
		e, err := events.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q %s\n", e.Name, e.Data)
	}
	// Output:
	// "ping" {}
	// "" [DONE]
	// EOF
}
