package provider

import "testing"

func TestBaseURL(t *testing.T) {
	for _, test := range []struct {
		kind          Kind
		address, want string
	}{
		{Anthropic, "https://api.anthropic.com", "https://api.anthropic.com/v1"},
		{Anthropic, "https://api.anthropic.com/", "https://api.anthropic.com/v1"},
		{Anthropic, "https://api.anthropic.com/v1", "https://api.anthropic.com/v1"},
		{Anthropic, "https://proxy.example/anthropic", "https://proxy.example/anthropic"},
		{OpenAI, "http://127.0.0.1:8000", "http://127.0.0.1:8000"},
	} {
		if got := BaseURL(test.kind, test.address); got != test.want {
			t.Errorf("BaseURL(%s, %s) = %s, want %s", test.kind, test.address, got, test.want)
		}
	}
}

func TestIsOpenAI(t *testing.T) {
	for address, want := range map[string]bool{
		"https://api.openai.com/v1":            true,
		"https://EU.api.openai.com/v1":         true,
		"https://mine.openai.azure.com/openai": true,
		"https://api.openai.com.example/v1":    false,
		"https://notapi.openai.com/v1":         false,
		"http://127.0.0.1:8000/v1":             false,
		"://":                                  false,
	} {
		if got := IsOpenAI(address); got != want {
			t.Errorf("IsOpenAI(%s) = %t, want %t", address, got, want)
		}
	}
}
