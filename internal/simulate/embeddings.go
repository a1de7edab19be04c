package simulate

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/internal/wire"
)

// maxInputs is the most texts that a call may embed.
const maxInputs = 2048

// embed answers a request for embeddings with random unit vectors, for which the
// text is the seed. Equal texts have equal vectors, which mean nothing else.
func (p *Provider) embed(w http.ResponseWriter, body []byte) *refusal {
	if !json.Valid(body) || !gjson.ParseBytes(body).IsObject() {
		return invalidJSON(wire.Embeddings)
	}
	v := gjson.ParseBytes(body)
	s := p.model(v.Get("model").Str)
	if s == nil || s.Dimensions == 0 {
		return noModel(wire.Embeddings, v.Get("model").Str)
	}
	var inputs []gjson.Result
	switch in := v.Get("input"); {
	case in.Type == gjson.String, in.Get("0").Type == gjson.Number:
		inputs = []gjson.Result{in}
	case in.IsArray():
		inputs = in.Array()
	}
	if len(inputs) == 0 || len(inputs) > maxInputs {
		return badRequest("input", "", "Invalid 'input': expected a string or an array of 1 to 2048 of them.")
	}
	dimensions := s.Dimensions
	if d := v.Get("dimensions").Int(); d > 0 && d <= int64(dimensions) {
		dimensions = int(d)
	}
	encoded := v.Get("encoding_format").Str == "base64"
	tokens := 0
	b := []byte(`{"object":"list","data":[`)
	for i, in := range inputs {
		if i > 0 {
			b = append(b, ',')
		}
		hash := hashText(0, in.String())
		if in.IsArray() {
			tokens += len(in.Array())
		} else {
			tokens += count(in.Str)
		}
		b = append(b, `{"object":"embedding","index":`...)
		b = append(strconv.AppendInt(b, int64(i), 10), `,"embedding":`...)
		b = append(appendVector(b, vector(s.seed, hash, dimensions), encoded), '}')
	}
	b = append(quote(append(b, `],"model":`...), s.Name), `,"usage":{"prompt_tokens":`...)
	b = append(strconv.AppendInt(b, int64(tokens), 10), `,"total_tokens":`...)
	b = append(strconv.AppendInt(b, int64(tokens), 10), "}}\n"...)
	call := Call{API: wire.Embeddings, Model: s.Name, Status: http.StatusOK, Usage: carrot.Usage{Input: tokens}}
	s.charge(&call)
	if p.Log != nil {
		p.Log(call)
	}
	writeJSON(w, http.StatusOK, b)
	return nil
}

// vector draws a unit vector.
func vector(seed, hash uint64, dimensions int) []float32 {
	draw := rand.New(rand.NewPCG(seed, hash))
	x := make([]float32, dimensions)
	sum := 0.0
	for i := range x {
		x[i] = float32(draw.NormFloat64())
		sum += float64(x[i]) * float64(x[i])
	}
	for i := range x {
		x[i] /= float32(math.Sqrt(sum))
	}
	return x
}

func appendVector(b []byte, x []float32, encoded bool) []byte {
	if encoded {
		raw := make([]byte, 0, 4*len(x))
		for _, v := range x {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), raw), '"')
	}
	b = append(b, '[')
	for i, v := range x {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(v), 'g', -1, 32)
	}
	return append(b, ']')
}

// list answers GET models and GET models/NAME in the form of either provider.
func (p *Provider) list(w http.ResponseWriter, r *http.Request, api wire.API, refuse func(*refusal)) {
	if r.Method != http.MethodGet {
		e := badRequest("", "", "Method not allowed.")
		e.status = http.StatusMethodNotAllowed
		refuse(e)
		return
	}
	if at := strings.LastIndex(r.URL.Path, "/models/"); at >= 0 {
		name := r.URL.Path[at+len("/models/"):]
		if p.model(name) == nil {
			refuse(noModel(api, name))
			return
		}
		writeJSON(w, http.StatusOK, modelObject(nil, api, name))
		return
	}
	b := []byte(`{"object":"list","data":[`)
	if api == wire.Messages {
		b = []byte(`{"data":[`)
	}
	for i := range p.Models {
		if i > 0 {
			b = append(b, ',')
		}
		b = modelObject(b, api, p.Models[i].Name)
	}
	b = append(b, ']')
	if api == wire.Messages && len(p.Models) > 0 {
		b = quote(append(b, `,"has_more":false,"first_id":`...), p.Models[0].Name)
		b = quote(append(b, `,"last_id":`...), p.Models[len(p.Models)-1].Name)
	}
	writeJSON(w, http.StatusOK, append(b, '}'))
}

func modelObject(b []byte, api wire.API, name string) []byte {
	if api == wire.Messages {
		b = quote(append(b, `{"type":"model","id":`...), name)
		b = quote(append(b, `,"display_name":`...), name)
		return append(b, `,"created_at":"2024-10-22T00:00:00Z"}`...)
	}
	b = quote(append(b, `{"id":`...), name)
	return append(b, `,"object":"model","created":1729555200,"owned_by":"simulate"}`...)
}
