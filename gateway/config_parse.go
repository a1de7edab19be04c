package gateway

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a configuration file. The parser's time and memory grow with the
// square of some of them, whence the modest numbers.
const (
	maxConfigBytes  = 256 << 10
	maxConfigTokens = 30_000 // some thousand models
	maxConfigDepth  = 32
	maxConfigColumn = 200
	maxConfigKey    = 128
)

// OpenConfig reads a configuration file. See [ParseConfig]; errors begin with the
// file's name, and relative paths in it are relative to its folder.
func OpenConfig(path string, env func(string) (string, bool)) (*Config, error) {
	return OpenConfigFiles(path, env, func(string) {})
}

// OpenConfigFiles is [OpenConfig] for programs that watch the files it reads, the
// configuration and the clients' key files: it calls reading with the name of each
// just before it is read, whether it is there or not.
func OpenConfigFiles(path string, env func(string) (string, bool), reading func(name string)) (*Config, error) {
	reading(path)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return parseConfig(data, env, path, reading)
}

// ParseConfig reads a configuration: strict YAML without anchors and tags, in
// which ${NAME} and ${NAME:-default} in secrets, addresses and paths stand for
// what env says, and $$ for a dollar sign. It fills in the defaults, adds the
// policies that always exist and keeps of the clients' keys only hashes. Relative
// paths are relative to the working directory.
//
// The error lists all problems in the file's order, one a line, each with line,
// column and field. A file whose form is wrong (unknown keys, wrong types) is not
// checked for its meaning. No error shows a secret. Whether the router knows the
// models is not checked here.
func ParseConfig(data []byte, env func(string) (string, bool)) (*Config, error) {
	return parseConfig(data, env, "", func(string) {})
}

func parseConfig(data []byte, env func(string) (string, bool), file string, reading func(name string)) (*Config, error) {
	p := &problems{file: file, at: make(map[string]place)}
	root := p.parse(data)
	if root == nil {
		return nil, p.err()
	}
	c := new(Config)
	d := configDecoder{p, env}
	if d.decode(root, c); p.malformed {
		return nil, p.err()
	}
	c.resolvePaths(filepath.Dir(file))
	c.hashKeys(p, reading)
	c.fillDefaults(p)
	if c.check(p); len(p.list) > 0 {
		return nil, p.err()
	}
	return c, nil
}

// parse reads the one document of a file; nil after a problem.
func (p *problems) parse(data []byte) ast.Node {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch {
	case len(data) > maxConfigBytes:
		p.addAt(place{}, "", "is longer than %d KiB", maxConfigBytes>>10)
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
		p.addAt(place{}, "", "is empty: want providers and models")
		return nil
	}
	if _, ok := body.(ast.MapNode); !ok {
		p.addAt(placeOf(body.GetToken()), "", "want a mapping of keys such as providers and models, not %s", describe(body, false))
		return nil
	}
	return body
}

// bound refuses what the parser would spend much time or memory on, and the parts
// of YAML that are not read.
func (p *problems) bound(tokens token.Tokens) {
	refuse := func(t *token.Token, format string, args ...any) { p.addAt(placeOf(t), "", format, args...) }
	if len(tokens) > maxConfigTokens {
		refuse(tokens[maxConfigTokens], "more than %d keys and values", maxConfigTokens)
		return
	}
	depth := 0
	for i, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			if depth++; depth > maxConfigDepth {
				refuse(t, "brackets are nested more than %d deep", maxConfigDepth)
				return
			}
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			if t.Position.Column > maxConfigColumn {
				refuse(t, "a list begins beyond column %d", maxConfigColumn)
				return
			}
		case token.MappingValueType:
			if i == 0 {
				break
			}
			if key := tokens[i-1]; len(key.Value) > maxConfigKey {
				refuse(key, "a key is longer than %d bytes", maxConfigKey)
				return
			} else if depth <= 0 && key.Position.Column > maxConfigColumn {
				refuse(key, "a key begins beyond column %d", maxConfigColumn)
				return
			}
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			refuse(t, "anchors, aliases and merge keys are not read: write the value out, or in quotes if it is text")
		case token.TagType, token.DirectiveType:
			refuse(t, "tags and directives are not read: write text in quotes")
		case token.MappingKeyType:
			refuse(t, "keys marked by ? are not read: write KEY: VALUE")
		}
	}
}
