package wire

import (
	"strings"

	"github.com/tidwall/gjson"
)

// Reply is what a whole answer says to its reader: the text without reasoning and calls
// of tools, and how it ended.
type Reply struct {
	Text string
	// Truncated says that a limit on the tokens ended the answer.
	Truncated bool
	// Refused says that the model or a filter of the provider refused to answer. The
	// text may be that of the refusal.
	Refused bool
}

// ReadReply reads the first reply in a whole answer of one of the APIs of conversations,
// as [ReadAnswer] reads its usage. It returns an empty reply if body is not an answer.
func ReadReply(api API, body []byte) Reply {
	if !valid(body) {
		return Reply{}
	}
	answer := gjson.ParseBytes(body)
	switch api {
	case Chat:
		return chatReply(answer.Get("choices.0"))
	case Messages:
		return messagesReply(answer)
	case Responses:
		return responsesReply(answer)
	}
	return Reply{}
}

func chatReply(choice gjson.Result) Reply {
	message, finish := choice.Get("message"), choice.Get("finish_reason").Str
	r := Reply{Truncated: finish == "length", Refused: finish == "content_filter"}
	if content := message.Get("content"); content.IsArray() {
		var text []string
		elements(content, func(part gjson.Result) { text = append(text, part.Get("text").Str) })
		r.Text = strings.Join(text, "")
	} else {
		r.Text = content.Str
	}
	if refusal := message.Get("refusal").Str; refusal != "" {
		r.Refused = true
		if r.Text == "" {
			r.Text = refusal
		}
	}
	return r
}

func messagesReply(answer gjson.Result) Reply {
	var text []string
	elements(answer.Get("content"), func(part gjson.Result) {
		if part.Get("type").Str == "text" {
			text = append(text, part.Get("text").Str)
		}
	})
	stop := answer.Get("stop_reason").Str
	return Reply{Text: strings.Join(text, ""), Truncated: stop == "max_tokens" || stop == "model_context_window_exceeded", Refused: stop == "refusal"}
}

func responsesReply(answer gjson.Result) Reply {
	why := answer.Get("incomplete_details.reason").Str
	r := Reply{Truncated: why == "max_output_tokens", Refused: why == "content_filter"}
	var text []string
	elements(answer.Get("output"), func(item gjson.Result) {
		if item.Get("type").Str != "message" {
			return
		}
		elements(item.Get("content"), func(part gjson.Result) {
			switch part.Get("type").Str {
			case "output_text":
				text = append(text, part.Get("text").Str)
			case "refusal":
				r.Refused = true
				text = append(text, part.Get("refusal").Str)
			}
		})
	})
	r.Text = strings.Join(text, "")
	return r
}
