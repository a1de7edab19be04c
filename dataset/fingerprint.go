package dataset

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
)

// ComputeFingerprint returns "sha256:<hex>" of the content of the set: the queries
// with their prompts, the models with their prices, and the outcomes, in the order
// of queries and models. It does not depend on the name, the answers, the
// compression, the order of rows in outcomes.csv, or optional columns without
// values. It takes tens of milliseconds for 10,000 prompts and 100,000 outcomes.
func (s *Set) ComputeFingerprint() string {
	h := sha256.New()
	w := &hashWriter{w: bufio.NewWriterSize(h, 1<<16)}
	w.text("carrot.dataset/1")
	w.count(len(s.Models))
	for i := range s.Models {
		m := &s.Models[i]
		w.text(m.Name)
		for _, p := range m.prices() {
			if p.usd == nil {
				w.number(math.NaN())
			} else {
				w.number(*p.usd)
			}
		}
		w.flag(m.Pool)
	}
	w.count(len(s.Queries))
	for i := range s.Queries {
		q := &s.Queries[i]
		for _, v := range [...]string{q.ID, string(q.Split), q.Source, q.Prompt} {
			w.text(v)
		}
	}
	for _, t := range s.matrices() {
		some := t.observed() > 0
		w.flag(some)
		if some {
			for _, v := range t.Data {
				w.number(v)
			}
		}
	}
	w.w.Flush() // a hash returns no error
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// hashWriter writes values so that different sequences give different bytes.
type hashWriter struct {
	w   *bufio.Writer
	buf [8]byte
}

func (h *hashWriter) count(n int) {
	binary.LittleEndian.PutUint64(h.buf[:], uint64(n))
	h.w.Write(h.buf[:])
}

func (h *hashWriter) text(s string) {
	h.count(len(s))
	h.w.WriteString(s)
}

// number writes the same bits for every NaN, and the same for both zeros.
func (h *hashWriter) number(v float64) {
	if v == 0 {
		v = 0
	}
	bits := math.Float64bits(v)
	if math.IsNaN(v) {
		bits = math.Float64bits(math.NaN())
	}
	binary.LittleEndian.PutUint64(h.buf[:], bits)
	h.w.Write(h.buf[:])
}

func (h *hashWriter) flag(b bool) {
	if b {
		h.w.WriteByte(1)
	} else {
		h.w.WriteByte(0)
	}
}

// observed counts the values that are not NaN.
func (m Matrix) observed() int {
	n := 0
	for _, v := range m.Data {
		if !math.IsNaN(v) {
			n++
		}
	}
	return n
}
