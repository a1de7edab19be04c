package judge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/carrot-router/carrot/internal/readfile"
)

// maxFile is the size of the largest schema or prompt template.
const maxFile = 1 << 20

// jsonJudge compares JSON values and checks them against a schema.
type jsonJudge struct{ schema *jsonschema.Schema }

func newJSON(path string) (*jsonJudge, error) {
	if path == "" {
		return &jsonJudge{}, nil
	}
	data, err := readfile.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: is not JSON: %w", path, err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // a schema is one file and fetches nothing
	const name = "schema.json"
	if err := c.AddResource(name, doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		text := strings.Join(strings.Fields(err.Error()), " ")
		return nil, fmt.Errorf("%s: is no JSON schema that stands in one file: %s", path, text[max(0, strings.Index(text, "schema.json#")):])
	}
	return &jsonJudge{schema}, nil
}

func (j *jsonJudge) Judge(_ context.Context, it Item) (Verdict, error) {
	var right any
	compare := strings.TrimSpace(it.Reference) != ""
	switch {
	case compare:
		var err error
		if right, err = decodeJSON([]byte(it.Reference)); err != nil {
			return Verdict{}, errors.New("the reference is not JSON")
		}
	case j.schema == nil:
		return Verdict{}, errors.New("the item has no reference, and there is no schema")
	}
	raw, ok := findJSON(spoken(it.Answer))
	if !ok {
		return Verdict{Note: "no JSON was found"}, nil
	}
	got, err := decodeJSON(raw)
	if err != nil {
		return Verdict{Note: "no JSON was found"}, nil
	}
	final := canonical(got)
	if j.schema != nil && j.schema.Validate(got) != nil {
		return Verdict{Final: final, Note: "the value does not fit the schema"}, nil
	}
	if compare {
		return verdict(final == canonical(right), final, "the value differs from the reference"), nil
	}
	return Verdict{Score: 1, Final: final, Note: "fits the schema"}, nil
}

// decodeJSON decodes one JSON value. Numbers keep their digits.
func decodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("text follows the value")
	}
	return v, nil
}

// canonical returns a value as JSON in which equal values are equal texts: keys are
// sorted, and numbers are written in one way.
func canonical(v any) string {
	var b strings.Builder
	writeCanonical(&b, v)
	return b.String()
}

func writeCanonical(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeCanonical(b, key)
			b.WriteByte(':')
			writeCanonical(b, v[key])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, one := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeCanonical(b, one)
		}
		b.WriteByte(']')
	case json.Number:
		b.WriteString(plainJSONNumber(v.String()))
	default:
		text, _ := json.Marshal(v) // texts, booleans and null
		b.Write(text)
	}
}

// plainJSONNumber returns a number in one form, if it has a size that people use.
func plainJSONNumber(text string) string {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if len(mantissa) > maxDigits || len(strings.TrimLeft(exponent, "+-0")) > 3 {
		return text
	}
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		return text
	}
	if value.IsInt() {
		return value.RatString()
	}
	digits, _ := value.FloatPrec()
	return value.FloatString(digits)
}
