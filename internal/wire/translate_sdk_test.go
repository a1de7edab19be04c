package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
	"github.com/tidwall/gjson"
)

// checkRequest checks a request with the types of OpenAI's client, which lose
// unknown fields when they read and write it.
func checkRequest(t *testing.T, api API, body []byte) {
	t.Helper()
	var err error
	var again []byte
	switch api {
	case Chat:
		var p openai.ChatCompletionNewParams
		if err = json.Unmarshal(body, &p); err == nil {
			again, err = json.Marshal(p)
		}
	case Responses:
		var p responses.ResponseNewParams
		if err = json.Unmarshal(body, &p); err == nil {
			again, err = json.Marshal(p)
		}
	default:
		return // Anthropic's client for Go is not a dependency
	}
	if err != nil {
		t.Errorf("OpenAI's client cannot read %s: %v", body, err)
		return
	}
	for key, value := range gjson.ParseBytes(body).Map() {
		// stream is not one of its parameters, and its types for a list of input
		// items can only be written.
		if key != "stream" && key != "input" && !gjson.GetBytes(again, key).Exists() {
			t.Errorf("OpenAI's client does not know %s: %s\n%s", key, value.Raw, again)
		}
	}
}

// checkAnswer checks an answer with the types of OpenAI's client.
func checkAnswer(t *testing.T, api API, body []byte) {
	t.Helper()
	switch api {
	case Chat:
		var c openai.ChatCompletion
		if err := json.Unmarshal(body, &c); err != nil {
			t.Fatalf("OpenAI's client cannot read %s: %v", body, err)
		}
		if c.Object != "chat.completion" || len(c.Choices) != 1 || c.Choices[0].FinishReason == "" || c.Choices[0].Message.Role != "assistant" {
			t.Errorf("OpenAI's client reads %s as %+v", body, c)
		}
		for _, f := range []bool{c.JSON.ID.Valid(), c.JSON.Created.Valid(), c.JSON.Model.Valid(), c.Usage.TotalTokens == c.Usage.PromptTokens+c.Usage.CompletionTokens} {
			if !f {
				t.Errorf("a field is not what OpenAI's client expects: %s", body)
			}
		}
	case Responses:
		var r responses.Response
		if err := json.Unmarshal(body, &r); err != nil {
			t.Fatalf("OpenAI's client cannot read %s: %v", body, err)
		}
		checkResponse(t, &r)
	}
}

func checkResponse(t *testing.T, r *responses.Response) {
	t.Helper()
	if r.Object != "response" || r.Status == "" || !r.JSON.ID.Valid() || !r.JSON.CreatedAt.Valid() || !r.JSON.Output.Valid() || !r.JSON.Tools.Valid() {
		t.Errorf("OpenAI's client reads %s as %+v", r.RawJSON(), r)
	}
	for i := range r.Output {
		item := &r.Output[i]
		if item.AsAny() == nil || item.ID == "" {
			t.Errorf("OpenAI's client does not know the item %s", item.RawJSON())
		}
	}
}

// checkStream reads a stream as OpenAI's client does.
func checkStream(t *testing.T, api API, stream []byte) {
	t.Helper()
	d := NewDecoder(bytes.NewReader(stream))
	var events []Event
	for {
		e, err := d.Next()
		if err != nil {
			break
		}
		events = append(events, Event{e.Name, bytes.Clone(e.Data)})
	}
	switch api {
	case Chat:
		checkChatStream(t, events)
	case Messages:
		checkMessagesStream(t, events)
	case Responses:
		checkResponsesStream(t, events)
	}
}

func checkChatStream(t *testing.T, events []Event) {
	t.Helper()
	var all openai.ChatCompletionAccumulator
	for i, e := range events {
		if string(e.Data) == Done || gjson.GetBytes(e.Data, "error").Exists() {
			if i != len(events)-1 {
				t.Errorf("more events follow %v", e)
			}
			continue
		}
		var c openai.ChatCompletionChunk
		if err := json.Unmarshal(e.Data, &c); err != nil || c.Object != "chat.completion.chunk" {
			t.Fatalf("OpenAI's client cannot read %s: %v", e.Data, err)
		}
		if !all.AddChunk(c) {
			t.Errorf("OpenAI's client cannot add the chunk %s", e.Data)
		}
	}
	if string(events[len(events)-1].Data) != Done {
		return
	}
	if len(all.Choices) != 1 || all.Choices[0].FinishReason == "" {
		t.Fatalf("the stream adds up to %+v", all.ChatCompletion)
	}
	for _, c := range all.Choices[0].Message.ToolCalls {
		if c.ID == "" || c.Function.Name == "" || !json.Valid([]byte(c.Function.Arguments)) {
			t.Errorf("a call adds up to %+v", c)
		}
	}
}

// checkMessagesStream checks the order of Anthropic's events: blocks are numbered
// from 0, do not overlap, and contain all parts.
func checkMessagesStream(t *testing.T, events []Event) {
	t.Helper()
	blocks, open, ended := int64(0), false, false
	for i, e := range events {
		v := gjson.ParseBytes(e.Data)
		if v.Get("type").Str != e.Name {
			t.Errorf("the name of the event %v is not its type", e)
		}
		index := v.Get("index").Int()
		ok := !ended
		switch e.Name {
		case "message_start":
			ok = i == 0 && v.Get("message.content").IsArray() && v.Get("message.usage.output_tokens").Exists()
		case "content_block_start":
			ok = !open && index == blocks
			open = true
		case "content_block_delta":
			ok = open && index == blocks
		case "content_block_stop":
			ok = open && index == blocks
			open = false
			blocks++
		case "message_delta":
			ok = !open && v.Get("delta.stop_reason").Str != "" && v.Get("usage.output_tokens").Exists()
		case "message_stop", "error":
			ended = true
		}
		if !ok {
			t.Errorf("event %d is out of order: %v", i, e)
		}
	}
	if !ended {
		t.Errorf("the stream has no end")
	}
}

// checkResponsesStream assembles the items from their parts, and compares them
// with the items in the last event.
func checkResponsesStream(t *testing.T, events []Event) {
	t.Helper()
	texts := map[string]*strings.Builder{}
	for i, e := range events {
		var u responses.ResponseStreamEventUnion
		if err := json.Unmarshal(e.Data, &u); err != nil || u.AsAny() == nil {
			t.Fatalf("OpenAI's client does not know the event %s: %v", e.Data, err)
		}
		if u.Type != e.Name || u.SequenceNumber != int64(i) || !u.JSON.SequenceNumber.Valid() {
			t.Errorf("event %d has name %s, type %s and number %d", i, e.Name, u.Type, u.SequenceNumber)
		}
		if strings.HasSuffix(u.Type, ".delta") {
			if texts[u.ItemID] == nil {
				texts[u.ItemID] = &strings.Builder{}
			}
			texts[u.ItemID].WriteString(gjson.GetBytes(e.Data, "delta").Str)
		}
		if u.Type != "response.completed" && u.Type != "response.incomplete" {
			continue
		}
		checkResponse(t, &u.Response)
		for _, item := range u.Response.Output {
			whole := item.Arguments.OfString
			for _, part := range item.Content {
				whole += part.Text + part.Refusal
			}
			for _, part := range item.Summary {
				whole += part.Text
			}
			if whole == "" {
				whole = gjson.Get(item.RawJSON(), "arguments").Str
			}
			if got := texts[item.ID].String(); got != whole {
				t.Errorf("the parts of item %s are %q, but the whole is %q", item.ID, got, whole)
			}
		}
	}
}
