package gateway_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/carrot-router/carrot/internal/simulate"
	"github.com/carrot-router/carrot/record"
)

// oneProvider has two models of a provider, and one that the provider does not have.
const oneProvider = `
providers:
  - {name: sim, kind: KIND, base_url: $sim/v1, apis: [API]}
models:
  - {name: gpt-4o-2024-08-06, provider: sim, upstream: large}
  - {name: gemma-2-2b-it, provider: sim, upstream: small}
  - {name: gone, like: gemma-2-2b-it, provider: sim, upstream: closed, price: {input: 1000, output: 1000}}
retry: {retries: 0}
`

// openAIClient is OpenAI's official client for a gateway with one provider.
type openAIClient struct {
	openai.Client
	api string // that the provider serves
}

func newOpenAIClient(t *testing.T, kind, api, more string) openAIClient {
	provider := &simulate.Provider{Models: []simulate.Model{{Name: "large", OutputTokens: 30}, {Name: "small", OutputTokens: 20}, {Name: "vectors", Dimensions: 8}}}
	r := newRig(t, strings.NewReplacer("KIND", kind, "API", api).Replace(oneProvider)+more, map[string]http.Handler{"sim": provider})
	return openAIClient{openai.NewClient(option.WithBaseURL(r.url+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0)), api}
}

// The client works the same whichever API the provider serves.
func TestOpenAIClient(t *testing.T) {
	for api, kind := range map[string]string{"chat": "openai", "responses": "openai", "messages": "anthropic"} {
		client := newOpenAIClient(t, kind, api, "")
		for name, check := range map[string]func(openAIClient, *testing.T){
			"chat": openAIClient.checkChat, "chat tools": openAIClient.checkTools, "schema and image": openAIClient.checkFormats, "answers": openAIClient.checkAnswers,
			"responses": openAIClient.checkResponses, "responses tools": openAIClient.checkResponsesTools, "previous response": openAIClient.checkPrevious,
			"models": openAIClient.checkModels, "errors": openAIClient.checkErrors,
		} {
			t.Run(api+"/"+name, func(t *testing.T) { check(client, t) })
		}
	}
}

func TestOpenAIClientEmbeddings(t *testing.T) {
	client := newOpenAIClient(t, "openai", "chat, embeddings", "embeddings: [{name: embedding, provider: sim, upstream: vectors, price: {input: 0.02}}]\n")
	params := openai.EmbeddingNewParams{Model: "embedding", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"one", "two"}}}
	got := must(client.Embeddings.New(t.Context(), params))(t)
	if len(got.Data) != 2 || len(got.Data[1].Embedding) != 8 || got.Model != "embedding" || got.Usage.PromptTokens == 0 {
		t.Errorf("got %+v", got)
	}
	params.Model = "auto"
	_, err := client.Embeddings.New(t.Context(), params)
	wantError(t, err, http.StatusNotFound, "model_not_found", "embedding")
}

// must returns a function that returns v, or fails the test if there is an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if e, ok := errors.AsType[*openai.Error](err); ok {
			err = errors.New(e.RawJSON())
		}
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantError checks the status, code and message of an error of the API.
func wantError(t *testing.T, err error, status int, code, says string) {
	t.Helper()
	if e, ok := errors.AsType[*openai.Error](err); !ok {
		t.Fatalf("%v is not an error of the API", err)
	} else if e.StatusCode != status || e.Code != code || !strings.Contains(e.Message, says) {
		t.Errorf("status %d, want %d, code %q and %q: %s", e.StatusCode, status, code, says, e.RawJSON())
	}
}

const useTool = "Use the tool: how is the weather in Paris?"

var citySchema = map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"}, "additionalProperties": false}

func wantCity(t *testing.T, text string) {
	t.Helper()
	var in map[string]string
	if err := json.Unmarshal([]byte(text), &in); err != nil || len(in) != 1 || in["city"] == "" {
		t.Errorf("%s does not fit the schema, %v", text, err)
	}
}

func chatOf(model, text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("Be brief."), openai.UserMessage(text)}}
}

func responseTo(model, text string) responses.ResponseNewParams {
	return responses.ResponseNewParams{Model: model, Instructions: openai.String("Be brief."), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(text)}}
}

func (c openAIClient) chat(t *testing.T, params openai.ChatCompletionNewParams, o ...option.RequestOption) openai.ChatCompletion {
	t.Helper()
	return *must(c.Chat.Completions.New(t.Context(), params, o...))(t)
}

// streamed returns the answer in the chunks of a stream.
func (c openAIClient) streamed(t *testing.T, params openai.ChatCompletionNewParams) openai.ChatCompletion {
	t.Helper()
	stream := c.Chat.Completions.NewStreaming(t.Context(), params)
	defer stream.Close()
	var all openai.ChatCompletionAccumulator
	for stream.Next() {
		if chunk := stream.Current(); !all.AddChunk(chunk) {
			t.Fatalf("the chunk does not continue the previous ones: %s", chunk.RawJSON())
		}
	}
	if must(all, stream.Err())(t); len(all.Choices) == 0 {
		t.Fatal("nothing was streamed")
	}
	return all.ChatCompletion
}

func (c openAIClient) response(t *testing.T, params responses.ResponseNewParams, o ...option.RequestOption) responses.Response {
	t.Helper()
	return *must(c.Responses.New(t.Context(), params, o...))(t)
}

// streamedResponse returns the whole response at the end of a stream, and the text that
// was streamed.
func (c openAIClient) streamedResponse(t *testing.T, params responses.ResponseNewParams) (whole responses.Response, text string) {
	t.Helper()
	stream := c.Responses.NewStreaming(t.Context(), params)
	defer stream.Close()
	for stream.Next() {
		e := stream.Current()
		if strings.HasSuffix(e.Type, ".delta") {
			text += e.Delta
		}
		whole = e.Response // of the last event
	}
	if must(whole, stream.Err())(t).Status != "completed" {
		t.Fatalf("the stream ends with %q", whole.RawJSON())
	}
	return whole, text
}

func (c openAIClient) checkChat(t *testing.T) {
	var response *http.Response
	params := chatOf("cheap", "What is 17 * 23?")
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	streamed := c.streamed(t, params)
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{}
	whole := c.chat(t, params, option.WithResponseInto(&response))
	for name, want := range map[string]string{"Model": "gemma-2-2b-it", "Upstream-Model": "small", "Policy": "cheap", "Reason": string(record.TradeOff), "Attempts": "1"} {
		if got := response.Header.Get("X-Carrot-" + name); got != want {
			t.Errorf("x-carrot-%s is %q, want %q", strings.ToLower(name), got, want)
		}
	}
	for _, got := range []openai.ChatCompletion{whole, streamed} {
		if got.Model != "gemma-2-2b-it" || got.Usage.PromptTokens < 5 || got.Usage.CompletionTokens < 5 || got.Usage.TotalTokens != whole.Usage.TotalTokens {
			t.Errorf("by %s for %d tokens, whole %d", got.Model, got.Usage.TotalTokens, whole.Usage.TotalTokens)
		}
		if a := got.Choices; len(a) != 1 || len(a[0].Message.Content) < 20 || a[0].Message.Content != whole.Choices[0].Message.Content || a[0].FinishReason != "stop" || a[0].Message.Role != "assistant" {
			t.Errorf("choices %+v, whole %+v", a, whole.Choices)
		}
	}
	if got := c.streamed(t, params); got.Usage.TotalTokens != 0 {
		t.Errorf("usage that was not asked for: %s", got.Usage.RawJSON())
	}
}

func (c openAIClient) checkTools(t *testing.T) {
	params := chatOf("auto", useTool)
	params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "weather", Parameters: citySchema})}
	for _, called := range []openai.ChatCompletion{c.chat(t, params), c.streamed(t, params)} {
		message := called.Choices[0].Message
		if called.Choices[0].FinishReason != "tool_calls" || len(message.ToolCalls) != 1 || message.ToolCalls[0].ID == "" || message.ToolCalls[0].Function.Name != "weather" {
			t.Fatalf("no call: %+v", called.Choices)
		}
		wantCity(t, message.ToolCalls[0].Function.Arguments)
		after := params
		after.Messages = append(params.Messages[:2:2], message.ToParam(), openai.ToolMessage("Sunny, 21 °C", message.ToolCalls[0].ID))
		for _, got := range []openai.ChatCompletion{c.chat(t, after), c.streamed(t, after)} {
			if a := got.Choices[0]; a.FinishReason != "stop" || a.Message.Content == "" || len(a.Message.ToolCalls) > 0 {
				t.Errorf("after the result: %+v", a)
			}
		}
	}
}

func (c openAIClient) checkFormats(t *testing.T) {
	params := chatOf("auto", "Name a city.")
	params.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "city", Strict: openai.Bool(true), Schema: citySchema}}
	wantCity(t, c.chat(t, params).Choices[0].Message.Content)
	params, picture := chatOf("auto", ""), openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64,iVBORw0KGgo="}
	params.Messages[1] = openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{openai.TextContentPart("What is it?"), openai.ImageContentPart(picture)})
	if got := c.chat(t, params); got.Usage.PromptTokens < 765 {
		t.Errorf("%d tokens in: the picture did not reach the provider", got.Usage.PromptTokens)
	}
}

// Only chat completions can have several answers.
func (c openAIClient) checkAnswers(t *testing.T) {
	params := chatOf("auto", "Toss a coin.")
	params.N = openai.Int(2)
	if c.api != "chat" {
		_, err := c.Chat.Completions.New(t.Context(), params)
		wantError(t, err, http.StatusBadRequest, "no_candidate", "gemma-2-2b-it: ")
		return
	}
	got, streamed := c.chat(t, params), c.streamed(t, params)
	if len(got.Choices) != 2 || len(streamed.Choices) != 2 || got.Choices[0].Message.Content == got.Choices[1].Message.Content || streamed.Choices[1].Message.Content != got.Choices[1].Message.Content {
		t.Errorf("choices %+v\nstreamed %+v", got.Choices, streamed.Choices)
	}
}

func (c openAIClient) checkResponses(t *testing.T) {
	whole := c.response(t, responseTo("auto", "What is 17 * 31?"))
	streamed, text := c.streamedResponse(t, responseTo("auto", "What is 17 * 31?"))
	for _, got := range []responses.Response{whole, streamed} {
		if got.Status != "completed" || got.Usage.InputTokens < 5 || got.Usage.OutputTokens < 5 || len(text) < 20 || got.OutputText() != text || got.Model != whole.Model || got.Usage.TotalTokens != whole.Usage.TotalTokens {
			t.Errorf("%s\nwhole %s\nstreamed %q", got.RawJSON(), whole.RawJSON(), text)
		}
	}
}

func (c openAIClient) checkResponsesTools(t *testing.T) {
	params := responseTo("auto", useTool)
	params.Tools = []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "weather", Parameters: citySchema, Strict: openai.Bool(true)}}}
	streamed, arguments := c.streamedResponse(t, params)
	for _, got := range []responses.Response{c.response(t, params), streamed} {
		if len(got.Output) != 1 || got.Output[0].Type != "function_call" || got.Output[0].CallID == "" || got.Output[0].Name != "weather" {
			t.Fatalf("no call: %s", got.RawJSON())
		}
		call := got.Output[0].AsFunctionCall()
		if wantCity(t, call.Arguments); call.Arguments != arguments {
			t.Errorf("arguments %s, streamed %s", call.Arguments, arguments)
		}
		after, result := params, responses.ResponseInputItemParamOfFunctionCallOutput("Sunny, 21 °C")
		result.OfFunctionCallOutput.CallID = openai.String(call.CallID)
		after.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: []responses.ResponseInputItemUnionParam{
			responses.ResponseInputItemParamOfMessage(useTool, "user"), responses.ResponseInputItemParamOfFunctionCall(call.Arguments, call.CallID, call.Name), result}}
		if got := c.response(t, after); got.OutputText() == "" || len(got.Output) != 1 {
			t.Errorf("after the result: %s", got.RawJSON())
		}
	}
}

// A conversation that the provider stores is continued by the model that began it.
func (c openAIClient) checkPrevious(t *testing.T) {
	for model, maker := range map[string]string{"cheap": "gemma-2-2b-it", "quality": "gpt-4o-2024-08-06"} {
		first, _ := c.streamedResponse(t, responseTo(model, "My name is Ada."))
		params := responseTo("auto", "What is my name?")
		params.PreviousResponseID = openai.String(first.ID)
		if c.api != "responses" {
			_, err := c.Responses.New(t.Context(), params)
			wantError(t, err, http.StatusBadRequest, "unknown_previous_response", first.ID)
			continue
		}
		var response *http.Response
		next := c.response(t, params, option.WithResponseInto(&response))
		if first.Model != maker || next.Model != maker || response.Header.Get("X-Carrot-Reason") != string(record.ContinuesResponse) {
			t.Errorf("%s continues what %s began, want %s: %s", next.Model, first.Model, maker, response.Header.Get("X-Carrot-Reason"))
		}
	}
}

func (c openAIClient) checkModels(t *testing.T) {
	var names []string
	for _, m := range must(c.Models.List(t.Context()))(t).Data {
		names = append(names, m.ID)
	}
	if got, want := strings.Join(names, " "), "auto balanced cheap quality gpt-4o-2024-08-06 gemma-2-2b-it gone"; got != want {
		t.Errorf("models %s, want %s", got, want)
	}
}

func (c openAIClient) checkErrors(t *testing.T) {
	kept := map[string]string{"chat": "model_not_found", "responses": "model_not_found", "messages": "not_found_error"}[c.api] // the provider's
	for _, e := range []struct {
		params     openai.ChatCompletionNewParams
		status     int
		code, says string
	}{
		{chatOf("gpt-5-ultra", "Hello"), http.StatusNotFound, "model_not_found", "auto, balanced, cheap, quality, gpt-4o-2024-08-06, gemma-2-2b-it, gone"},
		{openai.ChatCompletionNewParams{Model: "auto"}, http.StatusBadRequest, "", "messages"},
		{chatOf("gone", "Hello"), http.StatusNotFound, kept, "closed"},
	} {
		_, err := c.Chat.Completions.New(t.Context(), e.params)
		wantError(t, err, e.status, e.code, e.says)
		stream := c.Chat.Completions.NewStreaming(t.Context(), e.params)
		if stream.Next() {
			t.Errorf("a chunk %s", stream.Current().RawJSON())
		}
		wantError(t, stream.Err(), e.status, e.code, e.says)
	}
}
