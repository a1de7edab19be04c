package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// The script commands below check the JSON that other programs rely on
// (docs/cli.md). Like such a program, they decode it without this module's types.

// object is a JSON object. Its methods end the script if a key is missing or has
// the wrong type.
type object struct {
	ts   *testscript.TestScript
	at   string
	keys map[string]any
}

func parseObject(ts *testscript.TestScript, at string, data []byte) object {
	decoder := json.NewDecoder(bytes.NewReader(data))
	var v any
	ts.Check(decoder.Decode(&v))
	if decoder.More() {
		ts.Fatalf("%s: text follows the JSON", at)
	}
	return asObject(ts, at, v)
}

func asObject(ts *testscript.TestScript, at string, v any) object {
	keys, ok := v.(map[string]any)
	if !ok {
		ts.Fatalf("%s is %T, want an object", at, v)
	}
	return object{ts, at, keys}
}

func (o object) get(key string) any {
	v, ok := o.keys[key]
	if !ok {
		o.ts.Fatalf("%s lacks %q", o.at, key)
	}
	return v
}

func (o object) text(key string) string {
	s, ok := o.get(key).(string)
	if !ok {
		o.ts.Fatalf("%s.%s is %v, want a string", o.at, key, o.get(key))
	}
	return s
}

// number returns a number in [low,high].
func (o object) number(key string, low, high float64) float64 {
	v, ok := o.get(key).(float64)
	if !ok || v < low || v > high {
		o.ts.Fatalf("%s.%s is %v, want a number in [%g,%g]", o.at, key, o.get(key), low, high)
	}
	return v
}

// maybe returns a number, or NaN for null.
func (o object) maybe(key string) float64 {
	if o.get(key) == nil {
		return math.NaN()
	}
	return o.number(key, math.Inf(-1), math.Inf(1))
}

func (o object) list(key string) []any {
	v, ok := o.get(key).([]any)
	if !ok {
		o.ts.Fatalf("%s.%s is %v, want a list", o.at, key, o.get(key))
	}
	return v
}

func (o object) objects(key string) []object {
	var out []object
	for i, v := range o.list(key) {
		out = append(out, asObject(o.ts, fmt.Sprintf("%s.%s[%d]", o.at, key, i), v))
	}
	return out
}

func (o object) texts(key string) []string {
	var out []string
	for i, v := range o.list(key) {
		s, ok := v.(string)
		if !ok {
			o.ts.Fatalf("%s.%s[%d] is %v, want a string", o.at, key, i, v)
		}
		out = append(out, s)
	}
	return out
}

// interval checks that a key has an interval or null. Its ends can be null too.
func (o object) interval(key string) {
	if o.get(key) == nil {
		return
	}
	v := o.list(key)
	if len(v) != 2 {
		o.ts.Fatalf("%s.%s is %v, want two numbers", o.at, key, v)
	}
	low, ok := v[0].(float64)
	high, ok2 := v[1].(float64)
	if ok && ok2 && low > high {
		o.ts.Fatalf("%s.%s is %v: low above high", o.at, key, v)
	}
}

// evalJSON checks a report of carrot.eval/1 and the names of its routers:
// evaljson FILE ROUTER…
func evalJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: evaljson file router...")
	}
	r := parseObject(ts, "report", []byte(ts.ReadFile(args[0])))
	if s := r.text("schema"); s != "carrot.eval/1" {
		ts.Fatalf("schema %q", s)
	}
	r.text("dataset")
	if r.text("fingerprint") == "" || r.text("split") == "" {
		ts.Fatalf("fingerprint or split is empty")
	}
	r.number("queries", 1, 1e9)
	r.number("skipped_incomplete", 0, 1e9)
	models := r.texts("models")
	if span := r.list("cost_range_usd"); len(span) != 2 || span[0].(float64) >= span[1].(float64) {
		ts.Fatalf("cost_range_usd is %v", span)
	}
	var names []string
	for _, line := range r.objects("routers") {
		names = append(names, line.text("name"))
		checkRouterLine(line, len(models))
	}
	if !slices.Equal(names, args[1:]) {
		ts.Fatalf("routers are %q, want %q", names, args[1:])
	}
	for _, p := range r.objects("pairs") {
		if !slices.Contains(names, p.text("a")) || !slices.Contains(names, p.text("b")) {
			ts.Fatalf("%s compares %q and %q", p.at, p.text("a"), p.text("b"))
		}
		p.number("aiq_diff", -1, 1)
		p.interval("ci")
	}
}

// checkRouterLine checks the figures and the curve of one router.
func checkRouterLine(r object, models int) {
	name := r.text("name")
	curve := r.objects("curve")
	_, external := r.keys["external"]
	_, points := curve[0].keys["setting"]
	if name == "best-single" || points {
		if r.get("aiq") != nil || r.get("aiq_ci") != nil {
			r.ts.Fatalf("%s has aiq %v, want null", name, r.get("aiq"))
		}
	} else {
		r.number("aiq", 0, 1)
	}
	r.number("peak", 0, 1)
	for _, key := range []string{"aiq_ci", "peak_ci", "qnc_ci"} {
		r.interval(key)
	}
	for _, key := range []string{"qnc", "cost95"} {
		if v := r.maybe(key); v < 0 {
			r.ts.Fatalf("%s.%s is %v", r.at, key, v)
		}
	}
	r.maybe("gap_closed")
	if calibration := r.get("calibration"); calibration != nil {
		c := asObject(r.ts, r.at+".calibration", calibration)
		c.number("brier", 0, 1)
		c.number("ece", 0, 1)
		c.number("r2", -10, 1)
		if mae := c.maybe("output_tokens_mae"); mae < 0 || math.IsNaN(mae) && !external {
			r.ts.Fatalf("%s.output_tokens_mae is %v", c.at, mae)
		}
	} else if !points && !slices.Contains([]string{"best-single", "zero-router", "oracle"}, name) {
		r.ts.Fatalf("%s lacks a calibration", name)
	}
	if external {
		file := asObject(r.ts, r.at+".external", r.get("external"))
		if file.text("file") == "" || len(file.text("sha256")) != 64 {
			r.ts.Fatalf("%s is %v", file.at, file.keys)
		}
	}
	want := map[string]int{"best-single": 1, "zero-router": models}[name]
	switch {
	case points:
		want = len(curve)
	case want == 0:
		want = 401
		if curve[0].get("usd_per_quality") != nil {
			r.ts.Fatalf("the curve of %s begins at %v, want null for +inf", name, curve[0].get("usd_per_quality"))
		}
	}
	if len(curve) != want {
		r.ts.Fatalf("the curve of %s has %d points, want %d", name, len(curve), want)
	}
	for _, p := range curve {
		if w := p.maybe("usd_per_quality"); w <= 0 {
			r.ts.Fatalf("%s: usd_per_quality %v", p.at, w)
		}
		p.number("cost_usd", 0, 1e6)
		p.number("quality", 0, 1)
	}
}

// decisionJSON checks decisions of carrot.decision/1, one per line, and their ids:
// decisionjson FILE MODELS ID…
func decisionJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: decisionjson file models id...")
	}
	var ids []string
	lines := bufio.NewScanner(strings.NewReader(ts.ReadFile(args[0])))
	for lines.Scan() {
		d := parseObject(ts, fmt.Sprintf("line %d", len(ids)+1), lines.Bytes())
		checkDecision(d)
		if n := len(d.list("candidates")); fmt.Sprint(n) != args[1] {
			ts.Fatalf("%s has %d candidates, want %s", d.at, n, args[1])
		}
		ids = append(ids, d.text("id"))
	}
	ts.Check(lines.Err())
	if !slices.Equal(ids, args[2:]) {
		ts.Fatalf("ids are %q, want %q", ids, args[2:])
	}
}

func checkDecision(d object) {
	if s := d.text("schema"); s != "carrot.decision/1" {
		d.ts.Fatalf("schema %q", s)
	}
	if w := d.maybe("usd_per_quality"); w < 0 || d.text("policy") == "" || d.text("reason") == "" {
		d.ts.Fatalf("%s: usd_per_quality %v, policy %q, reason %q", d.at, w, d.text("policy"), d.text("reason"))
	}
	d.number("novelty", 0, 1)
	if _, ok := d.get("abstained").(bool); !ok {
		d.ts.Fatalf("%s.abstained is %v", d.at, d.get("abstained"))
	}
	allowed := map[string]float64{}
	for _, c := range d.objects("candidates") {
		c.number("quality", 0, 1)
		c.number("quality_se", 0, 1)
		c.number("quality_noise", 0, 1)
		c.number("input_tokens", 0, 1e9)
		if c.get("cost_usd") != nil {
			c.number("output_tokens_p90", c.number("output_tokens", 0, 1e9)/2, 1e9)
			c.number("cost_usd_p90", c.number("cost_usd", 0, 1e6)/2, 1e6)
		} else if c.get("cost_usd_p90") != nil || c.get("output_tokens") != nil || c.get("output_tokens_p90") != nil {
			d.ts.Fatalf("%s: the cost is null, but not all of the tokens and the 90%% quantile", c.at)
		}
		u := math.Inf(-1)
		if c.get("cost_usd") != nil || c.get("excluded") == nil {
			u = c.number("utility", math.Inf(-1), 1)
		}
		if c.get("excluded") == nil {
			allowed[c.text("name")] = u
		} else if c.text("excluded") == "" {
			d.ts.Fatalf("%s: excluded for no reason", c.at)
		}
	}
	checkOrder(d, allowed)
}

// checkOrder checks that the choice and the fallbacks are in order of utility, and
// that the flips start at +inf.
func checkOrder(d object, utility map[string]float64) {
	order := append([]string{d.text("model")}, d.texts("fallback")...)
	if len(order) != len(utility) {
		d.ts.Fatalf("%s: %q are not the candidates that may be chosen", d.at, order)
	}
	for i, name := range order {
		if u, ok := utility[name]; !ok || i > 0 && u > utility[order[i-1]] {
			d.ts.Fatalf("%s: %q is not in order of utility", d.at, order)
		}
	}
	last := math.Inf(1)
	for i, f := range d.objects("flips") {
		w := f.maybe("usd_per_quality")
		if math.IsNaN(w) != (i == 0) || w > last {
			d.ts.Fatalf("%s: at %v after %v", f.at, f.get("usd_per_quality"), last)
		}
		if i > 0 {
			last = w
		}
		if _, ok := utility[f.text("model")]; !ok {
			d.ts.Fatalf("%s: %q may not be chosen", f.at, f.text("model"))
		}
	}
}

var npyHeader = regexp.MustCompile(`^\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n$`)

// npy checks a file of float32 vectors in NumPy's format 1.0 and that they
// have unit length: npy FILE ROWS
func npy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: npy file rows")
	}
	data := []byte(ts.ReadFile(args[0]))
	if len(data) < 10 || string(data[:8]) != "\x93NUMPY\x01\x00" {
		ts.Fatalf("%s begins with %q", args[0], data[:min(8, len(data))])
	}
	n := 10 + int(binary.LittleEndian.Uint16(data[8:]))
	if n%64 != 0 || n > len(data) {
		ts.Fatalf("the header ends at byte %d, want a multiple of 64", n)
	}
	shape := npyHeader.FindSubmatch(data[10:n])
	if shape == nil || string(shape[1]) != args[1] {
		ts.Fatalf("header %q, want %s rows of float32", data[10:n], args[1])
	}
	var rows, columns int
	_, err := fmt.Sscan(string(shape[1])+" "+string(shape[2]), &rows, &columns)
	ts.Check(err)
	vectors := make([]float32, rows*columns)
	if got := len(data) - n; got != 4*len(vectors) {
		ts.Fatalf("%d bytes of vectors, want %d", got, 4*len(vectors))
	}
	_, err = binary.Decode(data[n:], binary.LittleEndian, vectors)
	ts.Check(err)
	for i := range rows {
		var sum float64
		for _, v := range vectors[i*columns:][:columns] {
			sum += float64(v) * float64(v)
		}
		if math.Abs(sum-1) > 1e-4 {
			ts.Fatalf("row %d has squared length %v, want 1", i, sum)
		}
	}
}
