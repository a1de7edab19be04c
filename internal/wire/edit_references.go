package wire

import (
	"github.com/tidwall/gjson"
)

// referenceItem is the type of an item of a responses request that stands for a
// stored one. Such items may omit it.
const referenceItem = "item_reference"

// isReference reports whether an item stands for a stored one.
func isReference(item gjson.Result) bool {
	kind := item.Get("type").Str
	return kind == referenceItem || kind == "" && item.Get("role").Str == "" && item.Get("id").Str != ""
}

// Resolve changes a responses request that refers to stored items: find returns the
// item that an id stands for, or nothing for an item that is to be left out. Where
// it does not know the id, the reference stays.
func Resolve(body []byte, find func(id string) (item string, known bool)) []byte {
	text := string(body)
	top := readTop(text)
	m := top.find("input")
	if m == nil || !m.value.IsArray() {
		return body
	}
	var changes []splice
	items := listObject(m.value, m.valueAt)
	for i := range items.members {
		item := &items.members[i]
		if !isReference(item.value) {
			continue
		}
		switch whole, known := find(item.value.Get("id").Str); {
		case known && whole == "":
			item.mark(true)
		case known:
			changes = append(changes, splice{item.valueAt, item.end, whole})
		}
	}
	changes = append(changes, items.remove(isMarked)...)
	if len(changes) == 0 {
		return body
	}
	return apply(text, changes)
}

// OutputItems calls f for the complete items of a response, or for that of an event
// of one, with the item's id and the item as a request has it, without the id.
// Reasoning is empty: only its maker could read it.
func OutputItems(data []byte, f func(id, item string)) {
	if !valid(data) {
		return
	}
	v := gjson.ParseBytes(data)
	each := func(item gjson.Result) {
		id := item.Get("id").Str
		if id == "" {
			return
		}
		if item.Get("type").Str == "reasoning" {
			f(id, "")
			return
		}
		o := readObject(item, 0)
		f(id, string(apply(item.Raw, o.remove(func(key string) bool { return key == "id" }))))
	}
	if v.Get("type").Str == "response.output_item.done" {
		each(v.Get("item"))
		return
	}
	elements(v.Get("output"), each)
}
