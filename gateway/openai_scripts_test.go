package gateway_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/internal/simulate"
)

// For every script, OpenAI's client sees what testdata/clients.txt says. The clients for
// other languages are tested with the same file (.ci/clients).
func TestOpenAIClientScripts(t *testing.T) {
	table, err := os.ReadFile("testdata/clients.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(table)) {
		script, sees, _ := strings.Cut(line, " ")
		want[script] = strings.TrimSpace(sees)
	}
	for api, ask := range map[string]func(openAIClient, *testing.T, []byte) seen{"chat": openAIClient.seeChat, "responses": openAIClient.seeResponse} {
		eachScript(t, api, func(t *testing.T, r *rig, name string, _ *simulate.Script, request []byte) {
			want := cmp.Or(want[name], want[strings.TrimPrefix(name, api+"/")])
			client := openAIClient{openai.NewClient(option.WithBaseURL(r.url+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0)), api}
			if got := ask(client, t, request); got.String() != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		})
	}
}

// seen is what a client sees of an answer.
type seen struct {
	model, text string
	tokens      int64
	code        string // of an error in the stream
	err         error  // any other error
}

// String returns the text as in testdata/clients.txt.
func (s seen) String() string {
	if e, ok := errors.AsType[*ssestream.StreamError](s.err); ok {
		s.code, s.err = gjson.GetBytes(e.Event.Data, "error.code").String(), nil
	}
	if e, ok := errors.AsType[*openai.Error](s.err); ok {
		return fmt.Sprintf("%d %s", e.StatusCode, e.Code)
	}
	switch {
	case s.err != nil:
		return s.err.Error()
	case s.code != "":
		return s.text + ", " + s.code
	case s.model == "gemma-2-2b-it" && s.text != "":
		return "standby"
	case s.tokens == 0:
		return s.text + " (no usage)"
	}
	return s.text
}

func streams(request []byte) bool { return gjson.GetBytes(request, "stream").Bool() }

func (c openAIClient) seeChat(t *testing.T, request []byte) (s seen) {
	params := param.Override[openai.ChatCompletionNewParams](json.RawMessage(request))
	var got openai.ChatCompletion
	if streams(request) {
		stream := c.Chat.Completions.NewStreaming(t.Context(), params)
		defer stream.Close()
		var all openai.ChatCompletionAccumulator
		for stream.Next() {
			all.AddChunk(stream.Current())
		}
		got, s.err = all.ChatCompletion, stream.Err()
	} else if whole, err := c.Chat.Completions.New(t.Context(), params); err != nil {
		return seen{err: err}
	} else {
		got = *whole
	}
	s.model, s.tokens = got.Model, got.Usage.TotalTokens
	for _, choice := range got.Choices {
		s.text += choice.Message.Content
		for _, call := range choice.Message.ToolCalls {
			s.text += call.Function.Arguments
		}
	}
	return s
}

func (c openAIClient) seeResponse(t *testing.T, request []byte) (s seen) {
	params := param.Override[responses.ResponseNewParams](json.RawMessage(request))
	var got responses.Response
	if streams(request) {
		stream := c.Responses.NewStreaming(t.Context(), params)
		defer stream.Close()
		for stream.Next() {
			e := stream.Current()
			if strings.HasSuffix(e.Type, ".delta") {
				s.text += e.Delta
			}
			got, s.code = e.Response, cmp.Or(e.Code, string(e.Response.Error.Code)) // of the last event
		}
		s.err = stream.Err()
	} else if whole, err := c.Responses.New(t.Context(), params); err != nil {
		return seen{err: err}
	} else {
		got = *whole
	}
	s.model, s.tokens = got.Model, got.Usage.TotalTokens
	whole := got.OutputText()
	for _, item := range got.Output {
		if item.Type == "function_call" {
			whole += item.AsFunctionCall().Arguments
		}
	}
	if s.text == "" {
		s.text = whole
	} else if s.code == "" && s.text != whole {
		t.Errorf("streamed %q, whole %q", s.text, whole)
	}
	return s
}
