package wire

import "bytes"

// Bounds on a request besides the length of its body. No request that a model can
// answer comes near them: Anthropic's API takes at most 100,000 messages.
const (
	// maxNodes is the most objects and lists in a request. A message is an object, and
	// so is each of its parts.
	maxNodes = 100_000
	// maxValues is the most values in a request. Tokens to embed may be given one by
	// one as numbers.
	maxValues = 1_000_000
	// maxFields is the most members of the body itself, and of an object in it that a
	// gateway changes.
	maxFields = 1_000
)

// Bytes of memory that a request takes at most, for each byte of its body and for
// each object and list in it. They were measured with requests that are translated,
// by BenchmarkRequestMemory.
const (
	memoryPerByte = 9
	memoryPerNode = 1000
)

// RequestMemory estimates how many bytes of memory a request takes at most while it is
// read, changed and translated. body need not be valid.
func RequestMemory(body []byte) int64 {
	nodes, _ := structure(body)
	return LeastMemory(int64(len(body))) + memoryPerNode*int64(min(nodes, maxNodes))
}

// LeastMemory returns what RequestMemory is at least, for a body of a length in bytes.
func LeastMemory(length int64) int64 { return memoryPerByte * max(length, 0) }

// bounded refuses a body with more objects, lists or values than any model takes.
func bounded(body []byte) error {
	switch nodes, values := structure(body); {
	case nodes > maxNodes:
		return badRequest("", "the body has more than %d objects and lists", maxNodes)
	case values > maxValues:
		return badRequest("", "the body has more than %d values", maxValues)
	}
	return nil
}

// exactAbove is the number of brackets or commas above which structure looks which of them
// are within strings.
const exactAbove = 10_000

// structure returns how many objects and lists JSON text has, and about how many values.
// Both may be too high up to exactAbove, because those in strings are counted too.
func structure(text []byte) (nodes, values int) {
	nodes = bytes.Count(text, []byte("{")) + bytes.Count(text, []byte("["))
	values = bytes.Count(text, []byte(","))
	if nodes <= exactAbove && values <= exactAbove {
		return nodes, nodes + values
	}
	nodes, values = 0, 0
	for at := 0; at < len(text); at++ {
		switch text[at] {
		case '{', '[':
			nodes++
		case ',':
			values++
		case '"':
			at = stringEnd(text, at)
		}
	}
	return nodes, nodes + values
}

// stringEnd returns the offset of the quote that ends the string which begins at an
// offset, or the end of the text.
func stringEnd(text []byte, at int) int {
	for {
		next := bytes.IndexByte(text[at+1:], '"')
		if next < 0 {
			return len(text)
		}
		at += 1 + next
		slashes := 0
		for text[at-1-slashes] == '\\' { // ends at the quote that begins the string
			slashes++
		}
		if slashes%2 == 0 {
			return at
		}
	}
}
