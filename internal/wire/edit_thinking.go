package wire

import (
	"github.com/tidwall/gjson"
)

// LeaveThinking changes a request of the messages or responses API for an account that
// cannot read the reasoning of another one: it removes the signed and the hidden
// reasoning of the turns that drop selects, which are numbered as in [Request.Turns].
// If plain, it also removes reasoning in plain text, which OpenAI and Anthropic refuse.
// It leaves every byte outside these changes as it is. drop must not select turns
// that the model is to continue, because the APIs refuse those without their
// reasoning.
func LeaveThinking(api API, body []byte, plain bool, drop func(turn int) bool) []byte {
	text := string(body)
	top := readTop(text)
	list, system := "messages", "system"
	switch api {
	case Messages:
	case Responses:
		list, system = "input", "instructions"
	default:
		return body
	}
	turn := 0
	if m := top.find(system); m != nil && m.value.Type != gjson.Null {
		turn = 1
	}
	m := top.find(list)
	if m == nil || !m.value.IsArray() {
		return body
	}
	var changes []splice
	items := listObject(m.value, m.valueAt)
	cut := false // reasoning was removed before the item, and nobody else has spoken since
	for i := range items.members {
		item := &items.members[i]
		if !drop(turn + i) {
			cut = false
			continue
		}
		if api == Messages {
			whole, inner := item.signedBlocks(plain)
			item.mark(whole)
			changes = append(changes, inner...)
			continue
		}
		switch {
		case hiddenReasoning(item.value) || plain && item.value.Get("type").Str == "reasoning":
			item.mark(true)
			cut = true
		case cut: // by its id, the API would miss the reasoning that belongs to it
			inner := readObject(item.value, item.valueAt)
			changes = append(changes, inner.remove(func(key string) bool { return key == "id" })...)
		}
	}
	changes = append(changes, items.remove(isMarked)...)
	if len(changes) == 0 {
		return body
	}
	return apply(text, changes)
}

// listObject returns the elements of a list as members, so that they can be removed. at
// is the list's offset in the text.
func listObject(list gjson.Result, at int) object {
	out := object{at: at}
	list.Index = at
	list.ForEach(func(_, v gjson.Result) bool {
		out.members = append(out.members, member{keyAt: v.Index, valueAt: v.Index, end: v.Index + len(v.Raw), value: v})
		return true
	})
	return out
}

// mark marks an element of a list that is to be removed.
func (m *member) mark(yes bool) {
	if yes {
		m.key = "marked"
	}
}

func isMarked(key string) bool { return key != "" }

// signedBlocks returns the changes that remove the signed reasoning from a message, and if
// plain all other, or whole if nothing else is in it: messages must not be empty.
func (m *member) signedBlocks(plain bool) (whole bool, changes []splice) {
	message := readObject(m.value, m.valueAt)
	content := message.find("content")
	if content == nil || !content.value.IsArray() {
		return false, nil
	}
	blocks := listObject(content.value, content.valueAt)
	n := 0
	for i := range blocks.members {
		block := blocks.members[i].value
		kind := block.Get("type").Str
		if kind == "redacted_thinking" || kind == "thinking" && (plain || block.Get("signature").Str != "") {
			blocks.members[i].mark(true)
			n++
		}
	}
	if n == 0 {
		return false, nil
	}
	if n == len(blocks.members) {
		return true, nil
	}
	return false, blocks.remove(isMarked)
}

// hiddenReasoning reports whether an item is reasoning whose text only its maker has:
// encrypted, or stored there under the item's id.
func hiddenReasoning(item gjson.Result) bool {
	return item.Get("type").Str == "reasoning" && (item.Get("encrypted_content").Str != "" || !item.Get("content.0").Exists())
}
