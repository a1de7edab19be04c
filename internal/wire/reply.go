package wire

import (
	"strings"

	"github.com/tidwall/gjson"
)

// SetModel replaces the provider's name of the model in a whole answer with
// the name of the served candidate.
func SetModel(body []byte, model string) []byte {
	v := gjson.GetBytes(body, "model")
	if v.Type != gjson.String || v.Index == 0 {
		return body
	}
	return apply(string(body), []splice{{v.Index, v.Index + len(v.Raw), quote(model)}})
}

// ForClient edits an event of a provider's stream for the client. The model
// becomes the name of the served candidate. Usage in chat is removed unless the
// client asked for it. After the last usage, ForClient adds the JSON that account
// returns, unless that is nil. keep is false if the event must be dropped.
func ForClient(api API, data []byte, model string, askUsage bool, account func() []byte) (out []byte, keep bool) {
	text := string(data)
	var name, usage, theirs gjson.Result // theirs: of a provider that is a gateway too
	empty := false                       // a chunk of chat without choices
	last := api == Chat
	inner := "" // the member that contains model and usage
	switch api {
	case Messages:
		inner = "message"
	case Responses:
		inner = "response"
	}
	gjson.Parse(text).ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "model":
			name = v
		case "usage":
			usage = v
		case "carrot":
			theirs = v
		case "type":
			last = last || v.Str == "message_delta" || v.Str == "response.completed" || v.Str == "response.incomplete"
		case "choices":
			empty = len(v.Raw) < 8 && len(v.Array()) == 0
		case inner:
			name = v.Get("model")
			if u := v.Get("usage"); u.Exists() && api == Responses {
				usage, theirs = u, v.Get("carrot")
			}
		}
		return true
	})
	changes := make([]splice, 0, 2)
	if name.Type == gjson.String && name.Index > 0 {
		changes = append(changes, splice{name.Index, name.Index + len(name.Raw), quote(model)})
	}
	switch end := usage.Index + len(usage.Raw); {
	case usage.Index == 0:
	case api == Chat && !askUsage:
		if usage.IsObject() && empty {
			return nil, false
		}
		changes = append(changes, withoutUsage(text, usage.Index, end))
	case last && usage.IsObject():
		switch own := account(); {
		case own == nil:
		case theirs.Exists():
			changes = append(changes, splice{theirs.Index, theirs.Index + len(theirs.Raw), string(own)})
		default:
			changes = append(changes, splice{end, end, `,"carrot":` + string(own)})
		}
	}
	if len(changes) == 0 {
		return data, true
	}
	return apply(text, changes), true
}

// withoutUsage returns the change that removes the usage whose value is
// text[at:end].
func withoutUsage(text string, at, end int) splice {
	const blanks = " \t\r\n"
	before := strings.TrimRight(text[:at], blanks)
	before = strings.TrimRight(strings.TrimSuffix(before, ":"), blanks)
	if rest, ok := strings.CutSuffix(before, `"usage"`); ok {
		rest = strings.TrimRight(rest, blanks)
		if head, ok := strings.CutSuffix(rest, ","); ok {
			return splice{len(head), end, ""}
		}
		after := strings.TrimLeft(text[end:], blanks)
		if tail, ok := strings.CutPrefix(after, ","); ok && strings.HasSuffix(rest, "{") {
			return splice{len(rest), len(text) - len(tail), ""}
		}
	}
	// The key has escapes, or is the only member.
	top := readTop(text)
	for _, change := range top.remove(func(key string) bool { return key == "usage" }) {
		return change
	}
	return splice{end, end, ""}
}
