package provider

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/internal/wire"
)

// testdata/too-long.jsonl has what servers answer to a request that is too long, as far
// as they and reports about them show it, and some answers that are similar.
func TestTooLong(t *testing.T) {
	file, err := os.Open("testdata/too-long.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	anthropics := regexp.MustCompile(`^prompt is too long: (\d+) tokens > (\d+) maximum$`)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var test struct {
			Vendor      string
			Status      int
			Body        json.RawMessage
			Kind        ErrorKind
			Tokens, Max int
		}
		if err := json.Unmarshal(lines.Bytes(), &test); err != nil {
			t.Fatal(err)
		}
		e := (&Upstream{}).refusal(&http.Response{StatusCode: test.Status, Header: http.Header{}}, test.Body)
		if test.Kind != "" {
			if e.Kind != test.Kind {
				t.Errorf("%s: %v, want kind %s", test.Vendor, e, test.Kind)
			}
			continue
		}
		o, _ := wire.TooLong(e.Code, e.Message)
		if e.Kind != ContextLength || o.Tokens != test.Tokens || o.Max != test.Max {
			t.Errorf("%s: %v with %+v, want kind %s with %d of %d tokens", test.Vendor, e, o, ContextLength, test.Tokens, test.Max)
		}
		client := wire.Error{Status: 400, Code: wire.TooLongCode, Message: e.Message, Overflow: o}
		message := gjson.GetBytes(client.Body(wire.Messages), "error.message").Str
		if counts := anthropics.FindStringSubmatch(message); test.Tokens > test.Max && test.Max > 0 && (counts == nil || counts[1] != fmt.Sprint(test.Tokens) || counts[2] != fmt.Sprint(test.Max)) ||
			!strings.Contains(strings.ToLower(message), "prompt is too long") {
			t.Errorf("%s: a client of messages is told %q", test.Vendor, message)
		}
		if code := gjson.GetBytes(client.Body(wire.Chat), "error.code").Str; code != "context_length_exceeded" {
			t.Errorf("%s: a client of chat is told the code %q", test.Vendor, code)
		}
		reported := wire.ReadError(test.Body) // the same within a stream
		if reported == nil {
			continue // it has another form there
		}
		if e := (&Upstream{}).Reported(reported); e.Kind != ContextLength {
			t.Errorf("%s: within a stream, it is %v", test.Vendor, e)
		}
	}
}
