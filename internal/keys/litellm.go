package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/carrot-router/carrot/gateway"
)

// MaxImport is the longest export that can be imported, in bytes.
const MaxImport = 64 << 20

// Imported is a key of another program's export.
type Imported struct {
	NewClient
	// Models are the models that the key was limited to, and which have to be replaced by
	// policies.
	Models []string
	// Unbudgeted says why a budget of the key could not be taken over, if so. It has to be
	// replaced by another.
	Unbudgeted string
	// Lost is what could not be taken over.
	Lost []string
	// Refused says why the key must not be taken over at all, if so.
	Refused string
}

// liteLLMRow is a row of LiteLLM's table LiteLLM_VerificationToken, or an object of
// GET /key/list?return_full_object=true. Values of CSV are texts.
type liteLLMRow map[string]any

// ParseLiteLLM reads LiteLLM's keys: the answer of GET /key/list?return_full_object=true, or
// rows of its table LiteLLM_VerificationToken as a list in JSON, as JSON lines or as CSV with a
// header. LiteLLM stores the SHA-256 of a key in hexadecimal digits as its token, as we do, so
// that keys can be taken over without being known.
func ParseLiteLLM(data []byte, now time.Time) ([]Imported, error) {
	if len(data) > MaxImport {
		return nil, fmt.Errorf("the export is longer than %d MiB", MaxImport>>20)
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\uFEFF")))
	var rows []liteLLMRow
	var err error
	switch {
	case len(data) == 0:
		return nil, errors.New("the export is empty")
	case data[0] == '[' || data[0] == '{':
		rows, err = liteLLMJSON(data)
	default:
		rows, err = liteLLMCSV(data)
	}
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errors.New("the export has no keys")
	}
	taken := map[string]bool{}
	all := make([]Imported, 0, len(rows))
	for i, row := range rows {
		made, err := row.imported(now)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if made.Refused == "" && taken[made.Name] {
			made.Refused = "the export has another key with this name"
		}
		taken[made.Name] = true
		all = append(all, made)
	}
	return all, nil
}

// liteLLMJSON reads an answer, a list, or lines of JSON.
func liteLLMJSON(data []byte) ([]liteLLMRow, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var rows []liteLLMRow
	for {
		var value any
		if err := d.Decode(&value); errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return nil, fmt.Errorf("after %d bytes: not valid JSON: %w", d.InputOffset(), err)
		}
		list, isList := value.([]any)
		if object, ok := value.(map[string]any); ok {
			if keys, ok := object["keys"].([]any); ok {
				list, isList = keys, true // the other pages may follow
			}
		}
		if !isList {
			list = []any{value}
		}
		for _, one := range list {
			row, ok := one.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("%.40q is not an object: ask for GET /key/list?return_full_object=true", fmt.Sprint(one))
			}
			if info, ok := row["info"].(map[string]any); ok { // GET /key/info
				if info["token"] == nil {
					info["token"] = row["key"]
				}
				row = info
			}
			rows = append(rows, row)
		}
	}
}

// liteLLMCSV reads a table with a header.
func liteLLMCSV(data []byte) ([]liteLLMRow, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(header, "token") && !slices.Contains(header, "key_alias") {
		return nil, errors.New("line 1: want JSON, or CSV whose header has token or key_alias")
	}
	var rows []liteLLMRow
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return nil, err
		}
		if len(fields) != len(header) {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("line %d: %d fields, and the header has %d", line, len(fields), len(header))
		}
		row := liteLLMRow{}
		for i, name := range header {
			if text := strings.TrimSpace(fields[i]); text != "" && !strings.EqualFold(text, "null") && text != `\N` {
				row[name] = text
			}
		}
		rows = append(rows, row)
	}
}

// notCarried are the fields that say something about a key and have no counterpart here.
var notCarried = []string{"team_id", "user_id", "agent_id", "project_id", "org_id", "organization_id", "aliases", "config", "permissions", "allowed_routes",
	"allowed_cache_controls", "model_max_budget", "router_settings", "object_permission_id", "object_permission", "auto_rotate", "soft_budget", "budget_fallbacks", "metadata"}

// imported returns what can be taken over of a key.
func (row liteLLMRow) imported(now time.Time) (out Imported, err error) {
	out.From = "litellm"
	lost := func(format string, args ...any) { out.Lost = append(out.Lost, fmt.Sprintf(format, args...)) }
	token, shownName := row.text("token"), row.text("key_name")
	if sum, err := hex.DecodeString(token); err == nil && len(sum) == sha256.Size {
		out.Hash = (*[sha256.Size]byte)(sum)
		out.Prefix = "sha256:" + token[:8]
		if strings.HasPrefix(shownName, "sk-...") && len(shownName) <= 16 && plain(shownName) {
			out.Prefix = shownName
		}
	}
	alias := row.text("key_alias")
	if alias == "" && out.Hash != nil {
		alias = "litellm-" + token[:8]
	}
	if alias == "" {
		return out, errors.New("it has neither key_alias nor token")
	}
	out.Name = cleanName(alias)
	if out.Name != alias {
		lost("name %.100q: spaces and other characters are replaced", alias)
	}
	if blocked, ok := row["blocked"]; ok && isTrue(blocked) {
		out.Refused = "it is blocked"
	}
	if text := row.text("expires"); text != "" {
		at, err := liteLLMTime(text)
		if err != nil {
			return out, fmt.Errorf("expires: %w", err)
		}
		if out.Expires = &at; !now.Before(at) {
			out.Refused = "it has expired"
		}
	}
	shared, _ := row["litellm_budget_table"].(map[string]any)
	own := func(name string) any {
		if v := row[name]; v != nil {
			return v
		}
		return shared[name]
	}
	for _, r := range []struct {
		name string
		to   *int
	}{{"rpm_limit", &out.Rates.Requests}, {"tpm_limit", &out.Rates.Tokens}, {"max_parallel_requests", &out.Rates.Concurrent}} {
		v := own(r.name)
		n, ok := whole(v)
		switch {
		case v == nil:
		case !ok || n < 0:
			return out, fmt.Errorf("%s: %.40q is not a whole number", r.name, fmt.Sprint(v))
		case n == 0:
			out.Refused = r.name + " is 0, so the key may do nothing"
		default:
			*r.to = min(n, maxRate)
		}
	}
	if v := own("max_budget"); v != nil {
		usd, ok := number(v)
		per := liteLLMPeriod(fmt.Sprint(own("budget_duration")))
		switch {
		case !ok || usd < 0:
			return out, fmt.Errorf("max_budget: %.40q is not an amount", fmt.Sprint(v))
		case usd == 0:
			out.Refused = "max_budget is 0, so the key may spend nothing"
		case usd > maxUSD:
			out.Unbudgeted = fmt.Sprintf("max_budget %v: the most for a budget is %d USD", v, maxUSD)
		case own("budget_duration") == nil:
			out.Unbudgeted = fmt.Sprintf("max_budget %v: it is for all time, and budgets here are for a day, week or month", v)
		case per == "":
			out.Unbudgeted = fmt.Sprintf("max_budget %v for %.40q: budgets here are for a day, week or month", v, fmt.Sprint(own("budget_duration")))
		default:
			out.Budgets = []gateway.BudgetConfig{{USD: usd, Per: per}}
		}
	}
	models, err := texts(row["models"])
	if err != nil {
		return out, fmt.Errorf("models: %w", err)
	}
	for _, m := range models {
		switch m {
		case "all-proxy-models":
		case "no-default-models":
			out.Refused = "it may use no models of its own"
		default: // also all-team-models and all-org-models, which depend on what is not in the export
			out.Models = append(out.Models, m)
		}
	}
	for _, name := range notCarried {
		if v := row[name]; !isEmpty(v) {
			text, _ := json.Marshal(v)
			lost("%s %.100s", name, text)
		}
	}
	if err := errors.Join(CheckName(out.Name), out.Check()); err != nil {
		return out, err
	}
	return out, nil
}

// cleanName returns a name that a client may have.
func cleanName(alias string) string {
	name := strings.Map(func(r rune) rune {
		if r == ',' || r == '/' || unicode.IsSpace(r) || unicode.IsControl(r) || !plain(string(r)) && r != '.' {
			return '-'
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(alias), "-"))
	if strings.HasPrefix(name, "sk-") || name == "." || name == ".." {
		name = "key-" + name
	}
	for len(name) > maxName {
		runes := []rune(name)
		name = string(runes[:len(runes)-1])
	}
	return name
}

// liteLLMPeriod returns how often a budget begins anew. LiteLLM's durations of a day, a week
// and a month begin at midnight, on Monday and on the first, as here.
func liteLLMPeriod(duration string) string {
	switch duration {
	case "1d", "24h":
		return "day"
	case "7d", "1w":
		return "week"
	case "30d", "1mo":
		return "month"
	}
	return ""
}

// liteLLMTime reads a time, which is in UTC if it does not say otherwise.
func liteLLMTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999-07", "2006-01-02 15:04:05.999999999-07:00", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is not a time", text)
}

// text returns a field that is a text.
func (row liteLLMRow) text(name string) string {
	text, _ := row[name].(string)
	return strings.TrimSpace(text)
}

// number returns a number of JSON, or a text that is one.
func number(v any) (float64, bool) {
	var text string
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	default:
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// whole returns a whole number.
func whole(v any) (int, bool) {
	f, ok := number(v)
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1<<52 {
		return 0, false
	}
	return int(f), true
}

// isTrue reports whether a value is true, as JSON or a database writes it.
func isTrue(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return slices.Contains([]string{"t", "true", "1"}, strings.ToLower(v))
	}
	return false
}

// isEmpty reports whether a value says nothing.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return slices.Contains([]string{"", "{}", "[]", "f", "false", "null"}, strings.ToLower(v))
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, member := range v {
			if !isEmpty(member) {
				return false
			}
		}
		return true
	}
	return false
}

// texts returns a list of texts: of JSON, or as PostgreSQL writes an array: {a,"b c"}.
func texts(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		list := make([]string, len(v))
		for i := range v {
			text, ok := v[i].(string)
			if !ok {
				return nil, fmt.Errorf("%.40q is not a text", fmt.Sprint(v[i]))
			}
			list[i] = text
		}
		return list, nil
	case string:
		if inner, ok := strings.CutPrefix(v, "{"); ok {
			if inner, ok = strings.CutSuffix(inner, "}"); ok {
				if inner == "" {
					return nil, nil
				}
				r := csv.NewReader(strings.NewReader(strings.ReplaceAll(inner, `\"`, `""`)))
				return r.Read()
			}
		}
		var list []string
		if err := json.Unmarshal([]byte(v), &list); err != nil {
			return nil, fmt.Errorf("%.40q is not a list", v)
		}
		return list, nil
	}
	return nil, fmt.Errorf("%.40q is not a list", fmt.Sprint(v))
}
