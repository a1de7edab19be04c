package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/carrot-router/carrot/record"
)

// An entry of the journal is a byte with its version, and three texts, each after its
// length as a uvarint: the attempt without its decision and content in the form
// carrot.attempt/1, the decision in the form carrot.decision/1 or nothing, and the content
// as {"prompt":…,"answer":…} or nothing. The writer reads only the first.
const entryVersion = 1

// entry is an attempt in three parts.
type entry struct {
	attempt           record.Attempt // without decision and content
	decision, content []byte
}

// appendEntry appends the entry of an attempt. scratch is reused.
func appendEntry(b []byte, a *record.Attempt, scratch *[]byte) []byte {
	b = append(b, entryVersion)
	narrow := *a
	narrow.Decision, narrow.Prompt, narrow.Answer = nil, nil, ""
	b = appendText(b, narrow.AppendJSON((*scratch)[:0]), scratch)
	decision := (*scratch)[:0]
	if a.Decision != nil {
		decision = a.Decision.AppendJSON(decision)
	}
	b = appendText(b, decision, scratch)
	content := (*scratch)[:0]
	if len(a.Prompt) > 0 || a.Answer != "" {
		content = contentOf(a)
	}
	return appendText(b, content, scratch)
}

func appendText(b, text []byte, scratch *[]byte) []byte {
	*scratch = text
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// content is what was said.
type content struct {
	Prompt []byte `json:"prompt,omitempty"` // base64, because its bytes matter
	Answer string `json:"answer,omitempty"`
}

func contentOf(a *record.Attempt) []byte {
	b, err := json.Marshal(content{a.Prompt, a.Answer})
	if err != nil { // impossible
		return nil
	}
	return b
}

var errEntry = errors.New("an entry of the journal is damaged")

// readEntry reads what appendEntry has written. The entry refers to b.
func readEntry(b []byte) (*entry, error) {
	if len(b) == 0 {
		return nil, errEntry
	}
	if b[0] != entryVersion {
		return nil, fmt.Errorf("an entry of the journal has version %d, which another release has written; this one knows %d", b[0], entryVersion)
	}
	var parts [3][]byte
	rest := b[1:]
	for i := range parts {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return nil, errEntry
		}
		parts[i], rest = rest[size:][:n], rest[size+int(n):]
	}
	e := &entry{decision: parts[1], content: parts[2]}
	if err := e.attempt.UnmarshalJSON(parts[0]); err != nil {
		return nil, errors.Join(errEntry, err)
	}
	if bytes.ContainsRune(e.decision, '\n') {
		return nil, errEntry
	}
	return e, nil
}
