// Package strictyaml reads YAML files whose every key is known: unknown and
// repeated keys, wrong types and the parts of YAML that surprise people (anchors,
// tags, several documents) are problems, each with its line, column and field.
// All problems of a file are reported, not only the first.
//
// Fields are named by their yaml tags. In text fields tagged expand:"env", and in
// types with a method Reveal() string, which hold secrets, ${NAME} and
// ${NAME:-default} stand for environment variables and $$ for a dollar sign; the
// values of secrets are in no error. An embedded struct tagged yaml:",inline"
// has its keys beside those of the struct around it.
package strictyaml

import (
	"bytes"
	"cmp"
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. The parser's time and memory grow with the square of some of
// them, which is why they are modest.
const (
	MaxBytes  = 256 << 10
	MaxKey    = 128 // bytes of a key
	maxTokens = 30_000
	maxDepth  = 32
	maxColumn = 200
)

// Options say how a file is read. The zero value reads one without a name.
type Options struct {
	// File begins errors.
	File string
	// Env looks environment variables up. Nil: none is set.
	Env func(string) (string, bool)
	// Want names keys that a file usually has, for files that are empty.
	Want string
}

// Decode reads the one document of a file into the struct that v points to. The
// problems that it returns may be added to when the meaning of v is checked;
// where [Problems.Malformed] or Err says so, v is not complete.
func Decode(data []byte, v any, o Options) *Problems {
	p := &Problems{file: o.File, at: make(map[string]place)}
	root := p.parse(data, o.Want)
	if root == nil {
		p.malformed = true
		return p
	}
	d := decoder{p, o.Env}
	d.value("", root, reflect.ValueOf(v).Elem(), false)
	return p
}

// parse reads the one document of a file. It returns nil if there is a problem.
func (p *Problems) parse(data []byte, want string) ast.Node {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch {
	case len(data) > MaxBytes:
		p.addAt(place{}, "", "is longer than %d KiB", MaxBytes>>10)
		return nil
	case !utf8.Valid(data):
		p.addAt(place{}, "", "is not UTF-8 text")
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	if p.bound(tokens); len(p.list) > 0 {
		return nil
	}
	// Keys that appear twice are found when decoding, all of them.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var at place
		message := err.Error()
		if e, ok := errors.AsType[yaml.Error](err); ok {
			at, message = placeOf(e.GetToken()), e.GetMessage()
		}
		p.addAt(at, "", "not YAML: %s", strings.NewReplacer("\t", `\t`, "\r", `\r`, "\n", " ").Replace(message))
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			p.addAt(placeOf(cmp.Or(doc.Start, doc.Body.GetToken())), "", "a second document begins here: want one")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		p.addAt(place{}, "", "is empty%s", wanted(want))
		return nil
	}
	if _, ok := body.(ast.MapNode); !ok {
		p.addAt(placeOf(body.GetToken()), "", "want a mapping of keys%s, not %s", suchAs(want), describe(body, false))
		return nil
	}
	return body
}

func wanted(keys string) string {
	if keys == "" {
		return ""
	}
	return ": want " + keys
}

func suchAs(keys string) string {
	if keys == "" {
		return ""
	}
	return " such as " + keys
}

// bound refuses files that would take the parser much time or memory, and the parts
// of YAML that are not supported.
func (p *Problems) bound(tokens token.Tokens) {
	refuse := func(t *token.Token, format string, args ...any) { p.addAt(placeOf(t), "", format, args...) }
	if len(tokens) > maxTokens {
		refuse(tokens[maxTokens], "more than %d keys and values", maxTokens)
		return
	}
	depth := 0
	for i, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			if depth++; depth > maxDepth {
				refuse(t, "brackets are nested more than %d deep", maxDepth)
				return
			}
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			if t.Position.Column > maxColumn {
				refuse(t, "a list begins beyond column %d", maxColumn)
				return
			}
		case token.MappingValueType:
			if i == 0 {
				break
			}
			if key := tokens[i-1]; len(key.Value) > MaxKey {
				refuse(key, "a key is longer than %d bytes", MaxKey)
				return
			} else if depth <= 0 && key.Position.Column > maxColumn {
				refuse(key, "a key begins beyond column %d", maxColumn)
				return
			}
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			refuse(t, "anchors, aliases and merge keys are not supported: write the value out, or in quotes if it is text")
		case token.TagType, token.DirectiveType:
			refuse(t, "tags and directives are not supported: write text in quotes")
		case token.MappingKeyType:
			refuse(t, "keys marked by ? are not supported: write KEY: VALUE")
		}
	}
}
