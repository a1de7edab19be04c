package gateway

import "testing"

// OpenAI and Anthropic refuse reasoning that they have not signed or encrypted themselves;
// servers that are compatible with their APIs do not.
func TestSigns(t *testing.T) {
	for base, want := range map[string]bool{"https://api.openai.com/v1": true, "https://elsewhere.example/v1": false} {
		if u := newUpstream(ProviderConfig{Name: "p", Kind: openAI, BaseURL: base}, nil); u.signs != want {
			t.Errorf("%s signs: %v, want %v", base, u.signs, want)
		}
	}
	for base, want := range map[string]bool{"https://api.anthropic.com/v1": true, "https://api.moonshot.ai/anthropic/v1": false} {
		if u := newUpstream(ProviderConfig{Name: "p", Kind: anthropic, BaseURL: base}, nil); u.signs != want {
			t.Errorf("%s signs: %v, want %v", base, u.signs, want)
		}
	}
}

// What is known of a model and of its server follows from their names.
func TestFactsByName(t *testing.T) {
	for _, test := range []struct {
		base, upstream         string
		foreign, long          bool
		reasoning, signature   bool
		chatLimit, chatLimitOf string // with no setting, and with one
	}{
		{"https://api.openai.com/v1", "gpt-5-mini", false, true, false, false, maxCompletionTokens, maxTokens},
		{"https://eu.api.openai.com/v1", "gpt-4o", false, false, false, false, maxCompletionTokens, maxTokens},
		{"https://mine.openai.azure.com/openai/v1", "deployment", false, false, false, false, maxCompletionTokens, maxTokens},
		{"https://notapi.openai.com.example/v1", "gpt-4o", true, false, false, false, maxTokens, maxTokens},
		{"https://openrouter.example/api/v1", "openai/gpt-5.2", true, true, false, false, maxCompletionTokens, maxTokens},
		{"https://openrouter.example/api/v1", "openai/gpt-oss-120b", true, false, false, false, maxTokens, maxTokens},
		{"https://openrouter.example/api/v1", "google/gemini-3-pro", true, false, false, false, maxTokens, maxTokens},
		{"https://generativelanguage.googleapis.com/v1beta/openai", "gemini-3.5-flash", true, false, false, true, maxTokens, maxTokens},
		{"https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.5-flash", true, false, false, false, maxTokens, maxTokens},
		{"https://api.moonshot.ai/v1", "kimi-k2.6", true, false, true, false, maxTokens, maxTokens},
		{"https://api.groq.com/openai/v1", "moonshotai/kimi-k2-instruct", true, false, false, false, maxTokens, maxTokens},
		{"http://localhost:8000/v1", "deepseek-ai/DeepSeek-V3.2", true, false, true, false, maxTokens, maxTokens},
	} {
		u := newUpstream(ProviderConfig{Name: "p", Kind: openAI, BaseURL: test.base}, nil)
		for _, settings := range []map[string]any{nil, {maxTokens: 9}} {
			m := completeModel{ModelConfig: ModelConfig{Name: "m", Provider: "p", Upstream: test.upstream, Settings: settings, Price: &PriceConfig{}}}
			target, err := newTarget(m, u, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := test.chatLimit
			if settings != nil {
				want = test.chatLimitOf
			}
			f := target.facts
			if f.Foreign != test.foreign || target.onlyLong != test.long || f.WantsReasoning != test.reasoning || f.WantsSignature != test.signature || target.chatLimit != want {
				t.Errorf("%s at %s: %+v, only the long limit %v, limit %s, want %+v", test.upstream, test.base, f, target.onlyLong, target.chatLimit, test)
			}
		}
	}
}
