package provider

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseError(t *testing.T) {
	check := func(body, wantCode, wantMessage string) {
		t.Helper()
		if code, message := parseError([]byte(body)); code != wantCode || message != wantMessage {
			t.Errorf("parseError(%s) = %q, %q, want %q, %q", body, code, message, wantCode, wantMessage)
		}
	}
	check(`{"error":{"message":"m","type":"t","param":null,"code":"c"}}`, "c", "m")
	check(`{"error":{"message":"m","type":"t","param":null,"code":null}}`, "t", "m")
	check(`{"error":{"message":"m","code":429}}`, "429", "m")
	check(`{"error":"model not found"}`, "", "model not found")
	check(`{"error":"too long","type":"Validation"}`, "Validation", "too long")
	check(`{"object":"error","message":"m","type":"BadRequestError","code":400}`, "400", "m")
	check(`{"detail":"Not Found"}`, "", "Not Found")
	check(`{"detail":[{"loc":["body","n"],"msg":"bad","input":"a prompt"},{"msg":"worse","type":"missing"}]}`, "", "bad; worse")
	check(`{"detail":["bad"]}`, "", "bad")
	check(`{"detail":{"message":"m","code":"c"}}`, "", "m")
	check(`{"error":{"msg":"m","code":7}}`, "7", "m")
	check(`{"error":{"detail":[{"msg":"m"}]}}`, "", "m")
	check(`{"error":null,"message":"m","code":"c"}`, "c", "m")
	check(`{"error":{},"message":"m"}`, "", "m")
	check(`{"msg":"m"}`, "", "m")
	check(`{"other":"a prompt"}`, "", "")
	check(`{"detail":[[["a prompt"]],{"input":"a prompt"},null]}`, "", "")
	check(`{"error":[1]}`, "", "")
	check(`{"error":null}`, "", "")
	check(`["a prompt"]`, "", "")
	check(`"a prompt"`, "", "")
	check(`<html>a page</html>`, "", "")
	check(`{"error": {"message": "cu`, "", "")
	check(" upstream connect error\n", "", "upstream connect error")
	check(``, "", "")
}

// Every refusal has a message, and text that may only repeat the request does not
// decide its kind.
func TestRefusal(t *testing.T) {
	check := func(status int, body, code, message string, kind ErrorKind, ofModel bool) {
		t.Helper()
		f := (&Upstream{Keys: []string{"secret-key"}}).refusal(&http.Response{StatusCode: status, Header: http.Header{}}, []byte(body))
		if f.Code != code || f.Message != message || f.Kind != kind || f.OfModel != ofModel || !f.Quoted {
			t.Errorf("refusal of %s: %+v, want %q, %q, %s, OfModel %v", body, f, code, message, kind, ofModel)
		}
	}
	check(400, `{"error":{"message":"m","code":"c"}}`, "c", "m", Invalid, false)
	check(400, `{"error":{"code":"c"}}`, "c", `{"error":{"code":"c"}}`, Invalid, false)
	check(400, `{"reason":"secret-key"}`, "", `{"reason":"***"}`, Invalid, false)
	check(400, ` <html>a page</html>`, "", `<html>a page</html>`, Invalid, false)
	check(400, ``, "", "the provider gave no reason", Invalid, false)
	check(404, ``, "", "the provider has no such endpoint; most base URLs end in /v1", Invalid, false)
	check(400, `{"error":{"message":"the prompt is too long"}}`, "", "the prompt is too long", ContextLength, false)
	check(400, `{"errors":[{"input":"what is a context window"}]}`, "", `{"errors":[{"input":"what is a context window"}]}`, Invalid, false)
	check(403, `{"error":{"message":"no access to this model"}}`, "", "no access to this model", KeyRefused, true)
	check(403, `{"request":{"model":"m"}}`, "", `{"request":{"model":"m"}}`, KeyRefused, false)
}

func TestErrorText(t *testing.T) {
	check := func(e Error, want string) {
		t.Helper()
		if got := e.Error(); got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
	}
	check(Error{Kind: RateLimited, Status: 429, Code: "rate_limit_exceeded", Message: "slow down"}, "rate_limited: status 429: rate_limit_exceeded: slow down")
	check(Error{Kind: Invalid, Status: 404}, "refused: status 404")
	check(Error{Kind: Network, Code: "network", Message: "no route"}, "network: no route")
}

func TestClean(t *testing.T) {
	u := &Upstream{BaseURL: "https://user:pa55@host", Keys: []string{"", "k3y"}}
	for text, want := range map[string]string{"k3y": "***", "a\x1b[31m\n\tk3y  b\u202e\x00": "a[31m *** b", "pa55word": "***word"} {
		if got := u.clean(text); got != want {
			t.Errorf("clean(%q) = %q, want %q", text, got, want)
		}
	}
	// No part of a secret remains at the place where the text is cut.
	u.Keys = []string{"secretsecret"}
	got := u.clean(strings.Repeat("é", maxMessage-2) + "secretsecret" + strings.Repeat("x", maxMessage))
	if n := utf8.RuneCountInString(got); n != maxMessage+1 || strings.Contains(got, "se") {
		t.Errorf("clean left %d runes ending in %q", n, got[len(got)-20:])
	}
}
