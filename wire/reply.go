package wire

import "github.com/tidwall/gjson"

// SetModel puts the served candidate's name into a whole answer, where the
// provider's name of the model is.
func SetModel(body []byte, model string) []byte {
	return replaceModel(body, gjson.GetBytes(body, "model"), model)
}

func replaceModel(body []byte, v gjson.Result, model string) []byte {
	if v.Type != gjson.String || v.Index == 0 {
		return body
	}
	out := make([]byte, 0, len(body)-len(v.Raw)+len(model)+2)
	out = append(out, body[:v.Index]...)
	out = append(out, quote(model)...)
	return append(out, body[v.Index+len(v.Raw):]...)
}

// ForClient makes an event of a stream what the client shall see: the served
// candidate's name as the model, the usage only if it was asked for, and beside
// a usage the gateway's own account, unless that is nil. keep is false if
// nothing is left of the event.
func ForClient(api API, data []byte, model string, askUsage bool, account []byte) (out []byte, keep bool) {
	path, usage := "model", "usage"
	switch api {
	case Messages:
		path = "message.model"
	case Responses:
		path, usage = "response.model", "response.usage"
	}
	data = replaceModel(data, gjson.GetBytes(data, path), model)
	u := gjson.GetBytes(data, usage)
	switch {
	case !u.Exists():
	case api == Chat && !askUsage:
		if u.IsObject() && gjson.GetBytes(data, "choices.#").Int() == 0 {
			return nil, false
		}
		data = dropUsage(data)
	case account != nil && u.IsObject():
		data = addBeside(data, u, account)
	}
	return data, true
}

// dropUsage removes the usage of a chunk of chat completions.
func dropUsage(data []byte) []byte {
	text := string(data)
	top := readTop(text)
	return apply(text, top.remove(func(key string) bool { return key == "usage" }))
}

// addBeside puts the gateway's account after a usage.
func addBeside(data []byte, usage gjson.Result, account []byte) []byte {
	end := usage.Index + len(usage.Raw)
	if usage.Index == 0 {
		return data
	}
	return apply(string(data), []splice{{end, end, `,"carrot":` + string(account)}})
}
