package provider

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
)

// decodeEmbeddings returns the vectors in the answer to a request with n texts, in
// the order of the texts and scaled to length 1. They must all have dim numbers or,
// if dim is 0, equally many.
func (u *Upstream) decodeEmbeddings(answer []byte, n, dim int) ([][]float32, error) {
	var list struct {
		Data []struct {
			Index     *int            `json:"index"`
			Embedding json.RawMessage `json:"embedding"`
		} `json:"data"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	if list.Data == nil {
		// Some servers report errors with status 200.
		if code, param, message := parseError(answer); code != "" || message != "" {
			return nil, u.judge(http.StatusOK, code, param, message)
		}
	}
	if len(list.Data) != n {
		return nil, fmt.Errorf("decode answer: %d vectors for %d texts", len(list.Data), n)
	}
	vectors := make([][]float32, n)
	for _, item := range list.Data {
		switch {
		case item.Index == nil:
			return nil, errors.New("decode answer: vector without an index")
		case *item.Index < 0 || *item.Index >= n:
			return nil, fmt.Errorf("decode answer: index %d is outside 0 to %d", *item.Index, n-1)
		case vectors[*item.Index] != nil:
			return nil, fmt.Errorf("decode answer: index %d appears twice", *item.Index)
		}
		vector, err := decodeVector(item.Embedding)
		if err != nil {
			return nil, fmt.Errorf("decode answer: vector %d: %w", *item.Index, err)
		}
		if dim == 0 {
			dim = len(vector)
		}
		if len(vector) != dim {
			return nil, fmt.Errorf("decode answer: vector %d: length %d, want %d", *item.Index, len(vector), dim)
		}
		vectors[*item.Index] = vector
	}
	return vectors, nil
}

// decodeVector reads an array of numbers, or little-endian float32 in base64, and
// scales it to length 1.
func decodeVector(raw json.RawMessage) ([]float32, error) {
	var vector []float32
	var err error
	switch {
	case len(raw) > 0 && raw[0] == '"':
		vector, err = decodeBase64(raw)
	case bytes.Contains(raw, []byte("null")):
		// Servers write NaN as null, which encoding/json would read as 0.
		err = errors.New("null instead of a number")
	default:
		if len(raw) > 0 {
			err = json.Unmarshal(raw, &vector)
		}
	}
	if err != nil {
		return nil, err
	}
	return vector, normalize(vector)
}

// decodeBase64 reads a JSON string with little-endian float32 in base64.
func decodeBase64(raw json.RawMessage) ([]float32, error) {
	var data []byte // encoding/json decodes base64 into bytes
	if err := json.Unmarshal(raw, &data); err != nil {
		if _, ok := errors.AsType[base64.CorruptInputError](err); ok {
			return nil, fmt.Errorf("base64: %w", err)
		}
		return nil, err
	}
	if len(data)%4 != 0 {
		return nil, fmt.Errorf("base64 of %d bytes is not float32", len(data))
	}
	vector := make([]float32, len(data)/4)
	for i := range vector {
		vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return vector, nil
}

// normalize scales a vector to length 1. It returns an error if that is impossible.
func normalize(vector []float32) error {
	if len(vector) == 0 {
		return errors.New("empty")
	}
	var sum float64
	for _, v := range vector {
		sum += float64(v) * float64(v)
	}
	switch {
	case math.IsNaN(sum) || math.IsInf(sum, 0):
		return errors.New("not finite")
	case sum == 0:
		return errors.New("all zero")
	}
	scale := 1 / math.Sqrt(sum)
	for i, v := range vector {
		vector[i] = float32(float64(v) * scale)
	}
	return nil
}
