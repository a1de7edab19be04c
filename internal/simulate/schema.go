package simulate

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// maxDepth limits how deep a schema is followed, and maxFilled how many bytes are
// written for it, because a schema can refer to itself.
const (
	maxDepth  = 12
	maxFilled = 16 << 10
)

// fill writes a simple JSON object that matches a schema: objects have their
// required properties only, and of alternatives it takes the first.
func fill(schema gjson.Result) []byte {
	f := filler{root: schema}
	f.value(schema, 0)
	if len(f.b) == 0 || f.b[0] != '{' {
		return []byte("{}")
	}
	return f.b
}

type filler struct {
	root gjson.Result
	b    []byte
}

func (f *filler) value(v gjson.Result, depth int) {
	if depth > maxDepth || len(f.b) > maxFilled {
		f.b = append(f.b, "null"...)
		return
	}
	fields := v.Map()
	if to := fields["$ref"].Str; to != "" {
		f.value(f.find(to), depth+1)
		return
	}
	for _, key := range []string{"const", "default"} {
		if set := fields[key]; set.Exists() {
			f.b = append(f.b, set.Raw...)
			return
		}
	}
	if list := fields["enum"].Array(); len(list) > 0 {
		f.b = append(f.b, list[0].Raw...)
		return
	}
	for _, key := range []string{"anyOf", "oneOf", "allOf"} {
		if list := fields[key].Array(); len(list) > 0 {
			f.value(list[0], depth+1)
			return
		}
	}
	kind := fields["type"].Str
	if list := fields["type"]; list.IsArray() {
		kind = list.Get("0").Str
	}
	f.typed(kind, fields, depth)
}

func (f *filler) typed(kind string, fields map[string]gjson.Result, depth int) {
	switch kind {
	case "string":
		f.b = quote(f.b, "simulated"+strings.Repeat(".", int(min(max(fields["minLength"].Int()-9, 0), 256))))
	case "integer":
		f.b = strconv.AppendInt(f.b, max(1, int64(min(math.Ceil(fields["minimum"].Num), 1<<53))), 10)
	case "number":
		number, _ := json.Marshal(max(1, min(fields["minimum"].Num, 1<<53))) // a finite number can always be encoded
		f.b = append(f.b, number...)
	case "boolean":
		f.b = append(f.b, "true"...)
	case "null":
		f.b = append(f.b, "null"...)
	case "array":
		f.b = append(f.b, '[')
		for i := range min(max(fields["minItems"].Int(), 0), 16) {
			if i > 0 {
				f.b = append(f.b, ',')
			}
			f.value(fields["items"], depth+1)
		}
		f.b = append(f.b, ']')
	default:
		f.object(fields, depth)
	}
}

func (f *filler) object(fields map[string]gjson.Result, depth int) {
	properties := fields["properties"].Map()
	written := map[string]bool{}
	f.b = append(f.b, '{')
	for _, name := range fields["required"].Array() {
		if name.Type != gjson.String || written[name.Str] {
			continue
		}
		if len(written) > 0 {
			f.b = append(f.b, ',')
		}
		written[name.Str] = true
		f.b = append(quote(f.b, name.Str), ':')
		if of, ok := properties[name.Str]; ok {
			f.value(of, depth+1)
		} else {
			f.b = append(f.b, "null"...)
		}
	}
	f.b = append(f.b, '}')
}

// find resolves a reference within the schema.
func (f *filler) find(to string) gjson.Result {
	v := f.root
	for step := range strings.SplitSeq(strings.TrimPrefix(strings.TrimPrefix(to, "#"), "/"), "/") {
		if step != "" {
			v = v.Map()[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
		}
	}
	return v
}
