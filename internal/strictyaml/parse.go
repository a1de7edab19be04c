// Package strictyaml reads YAML files strictly. Unknown and repeated keys, wrong types
// and features of YAML that surprise people (anchors, tags, several documents) are
// problems, each with its line, column and field. It reports all problems of a file,
// not only the first.
//
// A field's key is its yaml tag. Types with a method Reveal() string hold secrets,
// which no error shows. In secrets, and in text fields tagged expand:"env", ${NAME}
// and ${NAME:-default} stand for environment variables and $$ for a dollar sign. The
// keys of an embedded struct tagged yaml:",inline" are keys of the struct around it.
// Maps must have keys of type string.
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

// Limits of a file. They are low because the parser's time and memory grow with the
// square of some of them.
const (
	MaxBytes  = 256 << 10
	MaxKey    = 128 // bytes
	maxTokens = 30_000
	maxDepth  = 32
	maxColumn = 200
)

// Options say how a file is read. The zero value is valid.
type Options struct {
	// File is the file's name, with which errors begin.
	File string
	// Env returns the value of an environment variable, and whether it is set.
	// Nil: none is set.
	Env func(string) (string, bool)
	// Want names the most important keys, such as "providers and models". It is
	// used in the error for a file that is empty or not a mapping.
	Want string
}

// Decode reads a file with one document into the struct that v points to. If the
// problems that it returns are [Problems.Malformed], v is incomplete. Otherwise the
// caller can check the values and add further problems.
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

// parse returns the document of a file, or nil if there is a problem.
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
	// The decoder finds all keys that appear twice, the parser only the first.
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
			p.addAt(placeOf(cmp.Or(doc.Start, doc.Body.GetToken())), "", "a second document begins here: want only one")
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

// bound refuses files that would take the parser too much time or memory, and
// features of YAML that are not supported.
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
			refuse(t, "anchors, aliases and merge keys are not supported: repeat the value, or write text in quotes")
		case token.TagType, token.DirectiveType:
			refuse(t, "tags and directives are not supported: write text in quotes")
		case token.MappingKeyType:
			refuse(t, "keys marked with ? are not supported: write KEY: VALUE")
		}
	}
}
