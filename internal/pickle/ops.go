package pickle

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// operations are the operations of protocols 0 to 5 by their code, except those
// that no table needs, such as persistent ids and texts of Python 2.
var operations = [256]func(p *unpickler) error{
	// Framing.
	0x80: (*unpickler).protocol,
	0x95: func(p *unpickler) error { _, err := p.length(8); return err }, // FRAME
	'.':  func(p *unpickler) error { p.done, p.marks = true, nil; return nil },

	// Constants and numbers.
	'N':  func(p *unpickler) error { return p.push(nil) },
	0x88: func(p *unpickler) error { return p.push(true) },
	0x89: func(p *unpickler) error { return p.push(false) },
	'I':  func(p *unpickler) error { return p.number(false) },
	'L':  func(p *unpickler) error { return p.number(false) },
	'F':  func(p *unpickler) error { return p.number(true) },
	'K':  func(p *unpickler) error { v, err := p.uint(1); return errors.Join(err, p.push(int64(v))) },
	'M':  func(p *unpickler) error { v, err := p.uint(2); return errors.Join(err, p.push(int64(v))) },
	'J':  func(p *unpickler) error { v, err := p.uint(4); return errors.Join(err, p.push(int64(int32(v)))) },
	'G':  (*unpickler).float,
	0x8a: func(p *unpickler) error { return p.long(1) },
	0x8b: func(p *unpickler) error { return p.long(4) },

	// Text and bytes.
	'V':  (*unpickler).unicodeLine,
	0x8c: func(p *unpickler) error { return p.text(1) },
	'X':  func(p *unpickler) error { return p.text(4) },
	0x8d: func(p *unpickler) error { return p.text(8) },
	'C':  func(p *unpickler) error { return p.binary(1) },
	'B':  func(p *unpickler) error { return p.binary(4) },
	0x8e: func(p *unpickler) error { return p.binary(8) },
	0x96: func(p *unpickler) error { return p.binary(8) },

	// The stack and the memo.
	'(':  (*unpickler).mark,
	'0':  (*unpickler).discard,
	'1':  func(p *unpickler) error { _, err := p.popMark(); return err },
	'2':  func(p *unpickler) error { v, err := p.top(); return errors.Join(err, p.push(v)) },
	0x94: func(p *unpickler) error { return p.put(uint64(len(p.memo))) },
	'p':  func(p *unpickler) error { return p.memoLine(p.put) },
	'q':  func(p *unpickler) error { return p.memoAt(1, p.put) },
	'r':  func(p *unpickler) error { return p.memoAt(4, p.put) },
	'g':  func(p *unpickler) error { return p.memoLine(p.get) },
	'h':  func(p *unpickler) error { return p.memoAt(1, p.get) },
	'j':  func(p *unpickler) error { return p.memoAt(4, p.get) },

	// Containers.
	')':  func(p *unpickler) error { return p.push(pyTuple{}) },
	0x85: func(p *unpickler) error { return p.popTuple(1) },
	0x86: func(p *unpickler) error { return p.popTuple(2) },
	0x87: func(p *unpickler) error { return p.popTuple(3) },
	't':  (*unpickler).markedTuple,
	0x91: (*unpickler).markedTuple, // a frozen set
	']':  func(p *unpickler) error { return p.push(&pyList{}) },
	0x8f: func(p *unpickler) error { return p.push(&pyList{}) }, // a set
	'l':  func(p *unpickler) error { return p.markedInto(&pyList{}) },
	'a':  (*unpickler).appendOne,
	'e':  (*unpickler).appendMarked,
	0x90: (*unpickler).appendMarked,
	'}':  func(p *unpickler) error { return p.push(&pyDict{}) },
	'd':  func(p *unpickler) error { return p.markedInto(&pyDict{}) },
	's':  (*unpickler).setOne,
	'u':  (*unpickler).appendMarked,

	// What Python would import and call.
	'c':  (*unpickler).globalLines,
	0x93: (*unpickler).globalOnStack,
	'i':  (*unpickler).globalLines, // names the class in the error
	'R':  (*unpickler).call,
	0x81: (*unpickler).call,
	0x92: (*unpickler).callWithNames,
	'b':  (*unpickler).build,
}

func (p *unpickler) protocol() error {
	v, err := p.uint(1)
	if err == nil && v > 5 {
		return fmt.Errorf("protocol %d is not known: want 0 to 5", v)
	}
	return err
}

// discard drops the value on top, or the last mark if no value is above it.
func (p *unpickler) discard() error {
	if len(p.marks) > 0 && p.floor() == len(p.stack) {
		_, err := p.popMark()
		return err
	}
	_, err := p.pop()
	return err
}

// memoAt calls use with a place in the memo, a number of n bytes.
func (p *unpickler) memoAt(n int, use func(uint64) error) error {
	at, err := p.uint(n)
	if err != nil {
		return err
	}
	return use(at)
}

// memoLine calls use with a place in the memo, the number on a line.
func (p *unpickler) memoLine(use func(uint64) error) error {
	b, err := p.line()
	if err != nil {
		return err
	}
	at, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil {
		return fmt.Errorf("%s is not a place in the memo", quote(b))
	}
	return use(at)
}

// unicodeLine pushes the text of a line of protocol 0: \uXXXX and \UXXXXXXXX are
// characters, and every other byte is a character of Latin-1.
func (p *unpickler) unicodeLine() error {
	line, err := p.line()
	if err != nil {
		return err
	}
	var b strings.Builder
	for i := 0; i < len(line); {
		digits := 0
		if line[i] == '\\' && i+1 < len(line) {
			digits = map[byte]int{'u': 4, 'U': 8}[line[i+1]]
		}
		if digits == 0 {
			b.WriteRune(rune(line[i]))
			i++
			continue
		}
		end := min(i+2+digits, len(line))
		v, err := strconv.ParseUint(string(line[i+2:end]), 16, 32)
		if err != nil || end-i-2 != digits || v > utf8.MaxRune {
			return fmt.Errorf("%s is not an escaped character", quote(line[i:end]))
		}
		b.WriteRune(rune(v))
		i = end
	}
	return p.push(b.String())
}

func (p *unpickler) markedTuple() error {
	items, err := p.popMark()
	if err != nil {
		return err
	}
	return p.push(append(pyTuple(nil), items...))
}

// markedInto pushes a new list or dictionary of the values above the mark.
func (p *unpickler) markedInto(to any) error {
	items, err := p.popMark()
	if err == nil {
		err = extend(to, items)
	}
	return errors.Join(err, p.push(to))
}

func (p *unpickler) appendOne() error {
	v, err := p.pop()
	if err != nil {
		return err
	}
	return p.extendTop([]any{v})
}

func (p *unpickler) appendMarked() error {
	items, err := p.popMark()
	if err != nil {
		return err
	}
	return p.extendTop(items)
}

func (p *unpickler) setOne() error {
	v, err := p.pop()
	if err != nil {
		return err
	}
	k, err := p.pop()
	if err != nil {
		return err
	}
	return p.extendTop([]any{k, v})
}

func (p *unpickler) extendTop(items []any) error {
	to, err := p.top()
	if err != nil {
		return err
	}
	return extend(to, items)
}

// extend adds values to a list, or keys and values to a dictionary.
func extend(to any, items []any) error {
	switch to := to.(type) {
	case *pyList:
		to.items = append(to.items, items...)
	case *pyDict:
		if len(items)%2 != 0 {
			return errors.New("a dictionary has a key without a value")
		}
		for i := 0; i < len(items); i += 2 {
			to.keys, to.values = append(to.keys, items[i]), append(to.values, items[i+1])
		}
	default:
		return fmt.Errorf("%s has no items", kindOf(to))
	}
	return nil
}

// globalLines pushes the global that two lines name.
func (p *unpickler) globalLines() error {
	module, err := p.line()
	if err != nil {
		return err
	}
	name, err := p.line()
	if err != nil {
		return err
	}
	return p.global(string(module), string(name))
}

// globalOnStack pushes the global that the two texts on top name.
func (p *unpickler) globalOnStack() error {
	name, err := p.pop()
	if err != nil {
		return err
	}
	module, err := p.pop()
	if err != nil {
		return err
	}
	m, isText := module.(string)
	n, alsoText := name.(string)
	if !isText || !alsoText {
		return errors.New("a global is not named by two texts")
	}
	return p.global(m, n)
}

// call replaces a global and the arguments above it by a note of the call.
func (p *unpickler) call() error {
	args, err := p.pop()
	if err != nil {
		return err
	}
	of, err := p.pop()
	if err != nil {
		return err
	}
	g, isGlobal := of.(pyGlobal)
	t, isTuple := args.(pyTuple)
	if !isGlobal || !isTuple {
		return fmt.Errorf("a call of %s with %s", kindOf(of), kindOf(args))
	}
	return p.push(&pyCall{of: g, args: t})
}

// callWithNames is call for an operation that also has named arguments, of which
// there must be none.
func (p *unpickler) callWithNames() error {
	named, err := p.pop()
	if err != nil {
		return err
	}
	if d, ok := named.(*pyDict); !ok || len(d.keys) > 0 {
		return errors.New("a call with arguments by name")
	}
	return p.call()
}

// build notes the state that Python would set on the result of a call.
func (p *unpickler) build() error {
	state, err := p.pop()
	if err != nil {
		return err
	}
	to, err := p.top()
	if err != nil {
		return err
	}
	call, ok := to.(*pyCall)
	if !ok {
		return fmt.Errorf("%s has no state", kindOf(to))
	}
	call.state = state
	return nil
}
