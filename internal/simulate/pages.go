package simulate

import (
	"net/http"
	"slices"
	"strconv"
)

// listPart is what a client asks for of a list, which is sent newest first.
type listPart struct {
	after, before string // the id of an entry next to it
	limit         string
	most          int // the highest limit
}

// sendList sends a part of a list. kind is the type of the object, if the API gives it one.
func sendList[T any](w http.ResponseWriter, kind string, all []T, part listPart, id func(T) string, object func(T) any) *refusal {
	entries, more, ok := page(all, id, part)
	if !ok {
		return badRequest("", "", "The cursor or the limit of the list is not valid.")
	}
	list := struct {
		Object  string  `json:"object,omitempty"`
		Data    []any   `json:"data"`
		FirstID *string `json:"first_id"`
		LastID  *string `json:"last_id"`
		HasMore bool    `json:"has_more"`
	}{Object: kind, Data: []any{}, HasMore: more}
	for _, v := range entries {
		list.Data = append(list.Data, object(v))
	}
	if n := len(entries); n > 0 {
		first, last := id(entries[0]), id(entries[n-1])
		list.FirstID, list.LastID = &first, &last
	}
	send(w, list)
	return nil
}

// limitOf reads the length of a page, which is 20 by default.
func limitOf(text string, most int) (n int, ok bool) {
	if text == "" {
		return 20, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= most
}

// page returns the part of a list that a client asks for, newest first, and whether the
// list goes on in that direction. It reports false if the cursor or the limit is wrong.
func page[T any](all []T, id func(T) string, part listPart) (entries []T, more, ok bool) {
	n, ok := limitOf(part.limit, part.most)
	if !ok {
		return nil, false, false
	}
	newest := slices.Clone(all)
	slices.Reverse(newest)
	at := func(cursor string) int { return slices.IndexFunc(newest, func(v T) bool { return id(v) == cursor }) }
	switch {
	case part.after != "":
		i := at(part.after)
		if i < 0 {
			return nil, false, false
		}
		newest = newest[i+1:]
	case part.before != "":
		i := at(part.before)
		if i < 0 {
			return nil, false, false
		}
		return newest[max(i-n, 0):i], i > n, true
	}
	return newest[:min(n, len(newest))], len(newest) > n, true
}
