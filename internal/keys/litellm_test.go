package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carrot-router/carrot/gateway"
	"github.com/carrot-router/carrot/internal/database/databasetest"
)

var importedAt = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// liteLLMToken is how LiteLLM stores a key.
func liteLLMToken(key string) string {
	hash := sha256.Sum256([]byte(key))
	return hex.EncodeToString(hash[:])
}

// describe writes an imported key in one line.
func (m Imported) describe() string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if m.Hash != nil {
		say("hash %x", m.Hash[:4])
	}
	say("prefix %s", m.Prefix)
	if m.Rates != (gateway.RateConfig{}) {
		say("rates %+v", m.Rates)
	}
	for _, b := range m.Budgets {
		say("budget %s", FormatBudget(b))
	}
	if m.Expires != nil {
		say("expires %s", m.Expires.Format(time.RFC3339))
	}
	if m.Models != nil {
		say("models %q", m.Models)
	}
	if m.Unbudgeted != "" {
		say("unbudgeted: %s", m.Unbudgeted)
	}
	for _, l := range m.Lost {
		say("lost: %s", l)
	}
	if m.Refused != "" {
		say("refused: %s", m.Refused)
	}
	return m.Name + ": " + strings.Join(out, "; ")
}

// TestParseLiteLLM reads keys in every form in which LiteLLM has them.
func TestParseLiteLLM(t *testing.T) {
	a, b := liteLLMToken("sk-1234567890abcdefghijkl"), liteLLMToken("sk-another")
	for _, test := range []struct{ name, export, want string }{
		{"the answer of /key/list", `{"keys":[
			{"token":"` + a + `","key_name":"sk-...ijkl","key_alias":"search","spend":1.25,"max_budget":100.0,"budget_duration":"30d","models":[],"rpm_limit":60,"tpm_limit":100000,"max_parallel_requests":null,
			 "expires":"2027-03-01T00:00:00+00:00","team_id":null,"metadata":{},"aliases":{},"blocked":null,"soft_budget_cooldown":false},
			{"token":"` + b + `","key_name":"sk-...ther","key_alias":null,"models":["gpt-4o","all-team-models"],"team_id":"t1","max_budget":5,"budget_duration":null}],
			"total_count":2,"current_page":1,"total_pages":1}`,
			"search: hash " + a[:8] + "; prefix sk-...ijkl; rates {Requests:60 Tokens:100000 Concurrent:0}; budget 100/month; expires 2027-03-01T00:00:00Z\n" +
				"litellm-" + b[:8] + ": hash " + b[:8] + `; prefix sk-...ther; models ["gpt-4o" "all-team-models"]; unbudgeted: max_budget 5: it is for all time, and budgets here are for a day, week or month; lost: team_id "t1"`},
		{"a list", `[{"key_alias":"a","max_budget":7,"budget_duration":"7d"},{"key_alias":"b","max_budget":1,"budget_duration":"1d","models":["all-proxy-models"]},{"key_alias":"c","max_budget":1,"budget_duration":"2h"}]`,
			"a: prefix ; budget 7/week\nb: prefix ; budget 1/day\nc: prefix ; unbudgeted: max_budget 1 for \"2h\": budgets here are for a day, week or month"},
		{"lines, and pages", `{"keys":[{"key_alias":"a"}],"total_pages":2,"current_page":1}` + "\n" + `{"keys":[{"key_alias":"b"}],"total_pages":2,"current_page":2}` + "\n" + `{"key_alias":"c"}`, "a: prefix \nb: prefix \nc: prefix "},
		{"the answer of /key/info", `{"key":"` + a + `","info":{"key_alias":"a","litellm_budget_table":{"max_budget":3,"budget_duration":"1mo","rpm_limit":9}}}`,
			"a: hash " + a[:8] + "; prefix sha256:" + a[:8] + "; rates {Requests:9 Tokens:0 Concurrent:0}; budget 3/month"},
		{"a table", "token,key_name,key_alias,expires,models,max_budget,budget_duration,blocked,metadata,rpm_limit\n" + a + `,sk-...ijkl,"team a/b","2027-03-01 00:00:00","{gpt-4o,""claude 3""}",2.5,1w,f,"{""tags"": [""x""]}",` + "\n" + b + ",sk-...ther,x,,{},,,t,{},5\n",
			"team-a-b: hash " + a[:8] + `; prefix sk-...ijkl; budget 2.5/week; expires 2027-03-01T00:00:00Z; models ["gpt-4o" "claude 3"]; lost: name "team a/b": spaces and other characters are replaced; lost: metadata "{\"tags\": [\"x\"]}"` + "\n" +
				"x: hash " + b[:8] + "; prefix sk-...ther; rates {Requests:5 Tokens:0 Concurrent:0}; refused: it is blocked"},
		{"keys that must not be taken over", `[{"key_alias":"a","expires":"2026-01-01T00:00:00Z"},{"key_alias":"b","max_budget":0},{"key_alias":"c","rpm_limit":0},{"key_alias":"d","models":["no-default-models"]},{"key_alias":"e"},{"key_alias":"e"}]`,
			"a: prefix ; expires 2026-01-01T00:00:00Z; refused: it has expired\nb: prefix ; refused: max_budget is 0, so the key may spend nothing\nc: prefix ; refused: rpm_limit is 0, so the key may do nothing\n" +
				"d: prefix ; refused: it may use no models of its own\ne: prefix \ne: prefix ; refused: the export has another key with this name"},
	} {
		all, err := ParseLiteLLM([]byte(test.export), importedAt)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var got []string
		for _, m := range all {
			got = append(got, m.describe())
		}
		if diff := cmp.Diff(test.want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s:\n%s", test.name, diff)
		}
	}
	for _, test := range []struct{ export, want string }{
		{"", "is empty"}, {"[]", "has no keys"}, {`{"keys":["` + a + `"]}`, "return_full_object"}, {"[1]", "return_full_object"}, {"[{]", "not valid JSON"},
		{"name,budget\na,1\n", "whose header has token"}, {"token,key_alias\na\n", "line 2: 1 fields"}, {`[{"spend":1}]`, "neither key_alias nor token"},
		{`[{"key_alias":"a","rpm_limit":"many"}]`, "rpm_limit"}, {`[{"key_alias":"a","max_budget":-1}]`, "max_budget"}, {`[{"key_alias":"a","expires":"soon"}]`, "is not a time"}, {`[{"key_alias":"a","models":7}]`, "models"},
	} {
		if all, err := ParseLiteLLM([]byte(test.export), importedAt); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, %v, want %q", test.export, all, err, test.want)
		}
	}
}

// TestTakenOver: a key of LiteLLM works without being known to us before.
func TestTakenOver(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, dsn string) {
		s := opened(t, dsn)
		all, err := ParseLiteLLM([]byte(`[{"key_alias":"a","token":"`+liteLLMToken("sk-1234567890abcdefghijkl")+`"}]`), importedAt)
		if err != nil {
			t.Fatal(err)
		}
		if _, key, err := s.Create(t.Context(), "tester", all[0].NewClient); err != nil || key != "" {
			t.Fatal(key, err)
		}
		cache, err := s.Watch(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		if finds(t, cache, "sk-1234567890abcdefghijkl") != "a" {
			t.Error("the key does not work")
		}
	})
}

// FuzzLiteLLM: whatever the export, what is taken over may be created.
func FuzzLiteLLM(f *testing.F) {
	f.Add([]byte(`{"keys":[{"token":"` + liteLLMToken("sk-a") + `","key_name":"sk-...a","max_budget":1.5,"budget_duration":"30d","models":["a"],"litellm_budget_table":{"rpm_limit":1}}]}`))
	f.Add([]byte("token,key_alias,models,expires\n,a,{},\n,b c,\"{\"\"x,y\"\"}\",2027-01-01\n"))
	f.Add([]byte(`{"key":"x","info":{"key_alias":"sk-\u0000"}}` + "\n[{}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := ParseLiteLLM(data, importedAt)
		if err != nil {
			return
		}
		for _, m := range all {
			if err := CheckName(m.Name); err != nil {
				t.Errorf("name %q: %v", m.Name, err)
			}
			if err := m.Check(); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzBudget: a budget that is read can be written and read again.
func FuzzBudget(f *testing.F) {
	for _, text := range []string{"100/month", "$5.50/day@Europe/Berlin", "1e3/week@", "NaN/day", "1/day@Local", "/", "1/year"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBudget(text)
		if err != nil {
			return
		}
		if again, err := ParseBudget(FormatBudget(b)); err != nil || again != b {
			t.Errorf("%q is %+v, written %q, and read again %+v, %v", text, b, FormatBudget(b), again, err)
		}
	})
}

// TestParseBudget reads what the command line says of budgets.
func TestParseBudget(t *testing.T) {
	for text, want := range map[string]gateway.BudgetConfig{
		"100/month":              {USD: 100, Per: "month"},
		"$5.50/day":              {USD: 5.5, Per: "day"},
		"1/week@America/Chicago": {USD: 1, Per: "week", TimeZone: "America/Chicago"},
	} {
		if b, err := ParseBudget(text); err != nil || b != want {
			t.Errorf("%q: %+v, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "100", "month", "a/month", "0/day", "-1/day", "2000000/day", "NaN/day", "Inf/day", "1/year", "1/day@", "1/day@Mars", "1/day@Local", "1/day@../x"} {
		if b, err := ParseBudget(text); err == nil || b != (gateway.BudgetConfig{}) {
			t.Errorf("%q: %+v, %v", text, b, err)
		}
	}
}
