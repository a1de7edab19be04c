package provider

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseError(t *testing.T) {
	check := func(body, wantCode, wantMessage string) {
		t.Helper()
		if code, _, message := parseError([]byte(body)); code != wantCode || message != wantMessage {
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

// A provider may repeat what it was sent, in any spelling: no configured secret is
// left in what it says.
func TestEchoedSecrets(t *testing.T) {
	u := &Upstream{BaseURL: "https://host/v1", Keys: []string{`k"e&y+0123`}, Header: http.Header{"Authorization": {"Basic dXNlcjpwYXNz"}, "X-Gateway-Token": {"token-0123456789"}, "X-Team": {"search"}}}
	for _, echo := range []string{`k"e&y+0123`, `k\"e\u0026y+0123`, "k%22e%26y%2B0123", "Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "token-0123456789"} {
		body := "you sent " + echo + " from team search"
		f := u.refusal(&http.Response{StatusCode: 400, Header: http.Header{}}, []byte(body))
		if want := "you sent *** from team search"; f.Message != want || string(f.Body) != want {
			t.Errorf("of %q, %q and %q are left, want %q", body, f.Message, f.Body, want)
		}
	}
}

// What went wrong on the way is told by its kind; addresses are for the log.
func TestNetworkErrorHidesAddresses(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 8000}, Err: errors.New("connection refused")}, "the provider could not be reached"},
		{&net.DNSError{Err: "no such host", Name: "llm.internal", Server: "10.0.0.53:53"}, "the provider's name could not be resolved"},
		{&tls.CertificateVerificationError{Err: errors.New("x509: certificate is valid for llm.internal")}, "the provider's certificate could not be verified"},
		{errors.New("read tcp 10.0.0.1:1->10.0.0.7:8000: reset"), "the connection to the provider failed"},
	} {
		e := NetworkError(t.Context(), test.err)
		if e.Message != test.want || !strings.Contains(e.Public(), test.err.Error()) {
			t.Errorf("%v: message %q, logged %q, want %q and the error itself", test.err, e.Message, e.Public(), test.want)
		}
	}
}
