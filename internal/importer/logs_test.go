package importer

// The cases of logs and of tables of the user's own.

const (
	liteLLMLine = `{"request_id":"r1","call_type":"acompletion","spend":0.0021,"total_tokens":30,"prompt_tokens":20,"completion_tokens":10,"model":"gpt-4o","model_group":"big","messages":{},"metadata":{"usage_object":{"prompt_tokens":20,"prompt_tokens_details":{"cached_tokens":8},"completion_tokens_details":{"reasoning_tokens":4}}},"proxy_server_request":{"model":"big","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Why?"},{"type":"image_url","image_url":{"url":"…"}}]},{"role":"assistant","content":null,"tool_calls":[]}]},"cache_hit":"False","status":"success"}` + "\n"
	liteLLMHead = "request_id,call_type,spend,prompt_tokens,completion_tokens,model,messages,metadata,proxy_server_request,cache_hit\n"

	batchInput = `{"custom_id":"q1","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-4o-mini","messages":[{"role":"user","content":"2+2?"}]}}
{"custom_id":"q2","method":"POST","url":"/v1/responses","body":{"model":"gpt-4o-mini","instructions":"Be brief.","input":"Why?"}}
{"custom_id":"q3","method":"POST","url":"/v1/completions","body":{"model":"gpt-4o-mini","prompt":"Once"}}
`
	batchOutput = `{"id":"b2","custom_id":"q2","response":{"status_code":200,"request_id":"x","body":{"model":"gpt-4o-mini-2024-07-18","usage":{"input_tokens":9,"output_tokens":5,"input_tokens_details":{"cached_tokens":2},"output_tokens_details":{"reasoning_tokens":3}}}},"error":null}
{"id":"b3","custom_id":"q3","response":{"status_code":429,"body":{"error":{}}},"error":null}
{"id":"b1","custom_id":"q1","response":{"status_code":200,"body":{"model":"gpt-4o-mini-2024-07-18","usage":{"prompt_tokens":7,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":0}}}},"error":null}
`
	batchWant = `q1 openai-batch "2+2?"
q1 gpt-4o-mini-2024-07-18 - 7 1 - 0 -
q2 openai-batch "Be brief.\n\nWhy?"
q2 gpt-4o-mini-2024-07-18 - 9 5 - 2 3
q3 openai-batch "Once"
`
)

func logCases() []importCase {
	return []importCase{{
		name: "litellm, JSON lines", format: "litellm", src: "log.jsonl",
		files: map[string]string{"log.jsonl": liteLLMLine +
			`{"request_id":"r2","call_type":"aembedding","model":"e","messages":{}}` + "\n" +
			`{"request_id":"r3","call_type":"acompletion","model":"gpt-4o","status":"failure","messages":{}}` + "\n" +
			`{"request_id":"r4","model":"gpt-4o","spend":0,"prompt_tokens":3,"completion_tokens":2,"cache_hit":"True","messages":"[{\"role\":\"user\",\"content\":\"Hi\"}]"}` + "\n"},
		want: `r1 litellm "Be brief.\n\nWhy?"
r1 gpt-4o - 20 10 0.0021 8 4
r4 litellm "Hi"
r4 gpt-4o - 3 2 - - -
`,
		report: Report{Rows: 4, Skipped: 2, Queries: 2, Outcomes: 2, Costs: 1},
	}, {
		name: "litellm, CSV", format: "litellm", src: "log.csv",
		files: map[string]string{"log.csv": liteLLMHead +
			`r1,acompletion,0.5,20,10,claude,{},"{""additional_usage_values"":{""cache_read_input_tokens"":6}}","{""messages"":[{""role"":""user"",""content"":""Hi, you""}]}",` + "\n"},
		want:   "r1 litellm \"Hi, you\"\nr1 claude - 20 10 0.5 6 -\n",
		report: Report{Rows: 1, Queries: 1, Outcomes: 1, Costs: 1},
	}, {
		name: "litellm, cut and redacted prompts", format: "litellm", src: "log.jsonl",
		files: map[string]string{"log.jsonl": liteLLMLine +
			`{"request_id":"c1","model":"m","messages":[{"role":"user","content":"AAA... (litellm_truncated skipped 8000 chars. See the docs.) ...ZZZ"}]}` + "\n" +
			`{"request_id":"c2","model":"m","messages":"[{\"role\":\"user\",\"content\":\"AAA... (litellm_truncated 12982 chars)\"}]"}` + "\n" +
			`{"request_id":"c3","model":"m","messages":{},"proxy_server_request":"{\"litellm_truncated\": true}"}` + "\n" +
			`{"request_id":"c4","model":"m","messages":[{"role":"user","content":"AAA... (litellm_truncated skipped 8 chars) ..."}],"proxy_server_request":{"messages":[{"role":"user","content":"It is whole here"}]}}` + "\n" +
			`{"request_id":"c5","model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"AAA... (litellm_truncated skipped 8 chars) ..."}]}]}` + "\n" +
			`{"request_id":"r2","model":"m","messages":{},"proxy_server_request":{"messages":[{"role":"user","content":"redacted-by-litellm"}],"prompt":"","input":""}}` + "\n" +
			`{"request_id":"r3","model":"m","messages":"REDACTED_BY_LITELM_STRING"}` + "\n" +
			`{"request_id":"r4","model":"m","messages":[{"role":"user","content":"What does redacted-by-litellm mean, and litellm_truncated?"}]}` + "\n"},
		want: `r1 litellm "Be brief.\n\nWhy?"
r1 gpt-4o - 20 10 0.0021 8 4
c4 litellm "It is whole here"
r4 litellm "What does redacted-by-litellm mean, and litellm_truncated?"
`,
		report: Report{Rows: 9, Skipped: 6, Cut: 4, Redacted: 2, Queries: 3, Outcomes: 1, Costs: 1},
	}, {
		name: "litellm, CSV written by pandas", format: "litellm", src: "log.csv",
		files: map[string]string{"log.csv": liteLLMHead +
			`r1,acompletion,nan,20,10,claude,"[{'role': 'user', 'content': ""It's me""}]","{'additional_usage_values': {'cache_read_input_tokens': 6}}",{},` + "\n"},
		want:   "r1 litellm \"It's me\"\nr1 claude - 20 10 - 6 -\n",
		report: Report{Rows: 1, Queries: 1, Outcomes: 1},
	}, {
		name: "openai-batch, a folder", format: "openai-batch",
		files: map[string]string{"z-input.jsonl": batchInput, "a-output.jsonl": batchOutput,
			"embedding.jsonl": `{"custom_id":"q9","url":"/v1/embeddings","body":{"input":"A text"}}` + "\n" +
				`{"custom_id":"q9","response":{"status_code":200,"body":{"object":"list","model":"e","usage":{"prompt_tokens":2}}}}`},
		want:   batchWant,
		report: Report{Rows: 8, Skipped: 3, Queries: 3, Outcomes: 2},
	}, {
		name: "openai-batch as a pair", format: "openai-batch", src: "in.jsonl,out.jsonl",
		files:  map[string]string{"in.jsonl": batchInput, "out.jsonl": batchOutput},
		want:   batchWant,
		report: Report{Rows: 6, Skipped: 1, Queries: 3, Outcomes: 2},
	}, {
		name: "table, long CSV", format: "table", src: "t.csv",
		files:  map[string]string{"t.csv": "prompt_id,text,llm,ok,input_tokens,note\n1,Why?,a,1,5,\n1,Why?,b,,,\n2,\"How, then?\",a,0.5,,x\n"},
		opt:    Options{Columns: map[string]string{"id": "prompt_id", "prompt": "text", "model": "llm", "score": "ok"}},
		want:   "1  \"Why?\"\n1 a 1 5 - - - -\n2  \"How, then?\"\n2 a 0.5 - - - - -\n",
		report: Report{Rows: 3, Queries: 2, Outcomes: 2, Scores: 2},
	}, {
		name: "table, wide CSV without ids", format: "table", src: "t.csv",
		files: map[string]string{"t.csv": "prompt,split,gpt4_correct,gpt4_usd,small\nWhy?,dev,true,0.01,false\n"},
		opt:   Options{Columns: map[string]string{"score:gpt-4": "gpt4_correct", "cost_usd:gpt-4": "gpt4_usd", "score:small:7b": "small"}},
		want: `2673ce8234cc65bf  "Why?" validation
2673ce8234cc65bf gpt-4 1 - - 0.01 - -
2673ce8234cc65bf small:7b 0 - - - - -
`,
		report: Report{Rows: 1, Queries: 1, Outcomes: 2, Scores: 2, Costs: 1},
	}, {
		name: "table, equal prompts", format: "table", src: "t.csv",
		files:  map[string]string{"t.csv": "id,prompt,model,score,split\n1,2+2?,a,1,test\n2,2+2?,a,0,train\n3,2+2?,a,0,\n1,2+2?,b,0,train\n"},
		want:   "1  \"2+2?\" test\n1 a 1 - - - - -\n1 b 0 - - - - -\n2  \"2+2?\" test\n2 a 0 - - - - -\n3  \"2+2?\" test\n3 a 0 - - - - -\n",
		report: Report{Rows: 4, Queries: 3, Outcomes: 4, Scores: 4},
	}, {
		name: "table, JSON lines", format: "table", src: "t.jsonl",
		files: map[string]string{"t.jsonl": `{"id":1,"request":{"model":"a","messages":[{"role":"user","content":"Why?"},{"role":"user","content":"Say."}]},"grade":true,"usage":{"in":5}}
{"id":2,"request":{"model":"a","messages":"How?"},"grade":null,"usage":{"in":6,"reasoning":1}}
`},
		opt: Options{Columns: map[string]string{"prompt": "request.messages", "model": "request.model", "score": "grade",
			"input_tokens": "usage.in", "reasoning_tokens": "usage.reasoning"}},
		want:   "1  \"Why?\\n\\nSay.\"\n1 a 1 5 - - - -\n2  \"How?\"\n2 a - 6 - - - 1\n",
		report: Report{Rows: 2, Queries: 2, Outcomes: 2, Scores: 1},
	}}
}
