package wire

import (
	"encoding/json"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// repeat returns n copies of a JSON value, separated by commas.
func repeat(value string, n int) string { return strings.Repeat(value+",", n-1) + value }

// A request may have as many messages, parts and fields as a model can take, and no
// more. Brackets and commas in texts do not count.
func TestRequestBounds(t *testing.T) {
	const start = `{"model":"auto","messages":[{"role":"user","content":"a"}],`
	for name, test := range map[string]struct {
		body string
		want string // in the error; empty: there is none
	}{
		"messages":      {`{"model":"auto","messages":[` + repeat(`{"role":"user","content":"a"}`, maxNodes) + `]}`, "more than 100000 objects and lists"},
		"most messages": {`{"model":"auto","messages":[` + repeat(`{"role":"user","content":"a"}`, maxNodes-2) + `]}`, ""},
		"parts":         {`{"model":"auto","messages":[{"role":"user","content":[` + repeat(`{}`, maxNodes) + `]}]}`, "more than 100000 objects and lists"},
		"tools":         {start + `"tools":[` + repeat(`{}`, maxNodes) + `]}`, "more than 100000 objects and lists"},
		"values":        {start + `"z":[` + repeat(`1`, maxValues) + `]}`, "more than 1000000 values"},
		"fields":        {start + repeat(`"a":1`, maxFields) + `}`, "more than 1000 fields"},
		"metadata":      {start + `"metadata":{` + repeat(`"a":"b"`, maxFields+1) + `}}`, `"metadata" has more than 1000 members`},
		"most metadata": {start + `"metadata":{` + repeat(`"a":"b"`, maxFields) + `}}`, ""},
		"options":       {start + `"stream_options":{` + repeat(`"a":1`, maxFields+1) + `}}`, `"stream_options" has more than 1000 members`},
		"text":          {`{"model":"auto","messages":[{"role":"user","content":"` + strings.Repeat(`{[,\"`, 2*maxValues) + `"}]}`, ""},
	} {
		_, err := ParseRequest(Chat, []byte(test.body))
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
	r, err := ParseRequest(Chat, []byte(start+`"reasoning":{`+repeat(`"a":1`, maxFields+1)+`}}`))
	if err == nil {
		err = r.CheckSettings([]Setting{{"reasoning", `{"effort":"low"}`}})
	}
	if err == nil || !strings.Contains(err.Error(), `"reasoning" has more than 1000 members`) {
		t.Errorf("an object that a setting changes: error %v", err)
	}
}

// structure counts as encoding/json does.
func FuzzStructure(f *testing.F) {
	f.Add(`{"a":"[{,\\\"","b":[1,{"c":[]}]}`)
	f.Add(`["\\\\","\\\\\\\"",","]`)
	f.Fuzz(func(t *testing.T, text string) {
		padded := `[` + strings.Repeat(`{},`, exactAbove) + text + `]` // so that it counts exactly
		nodes, values := structure([]byte(padded))
		if !json.Valid([]byte(padded)) {
			return
		}
		wantNodes, wantCommas := 0, 0
		d := json.NewDecoder(strings.NewReader(padded))
		type open struct {
			object   bool
			elements int
		}
		var within []open
		for {
			token, err := d.Token()
			if err != nil {
				break
			}
			if token == json.Delim('}') || token == json.Delim(']') {
				last := within[len(within)-1]
				if within = within[:len(within)-1]; last.object {
					last.elements /= 2
				}
				wantCommas += max(last.elements-1, 0)
				continue
			}
			if len(within) > 0 {
				within[len(within)-1].elements++
			}
			if token == json.Delim('{') || token == json.Delim('[') {
				wantNodes++
				within = append(within, open{object: token == json.Delim('{')})
			}
		}
		if nodes != wantNodes || values != wantNodes+wantCommas {
			t.Errorf("%d objects and lists and %d values, want %d and %d", nodes, values, wantNodes, wantNodes+wantCommas)
		}
	})
}

// peakMemory returns how many more bytes f has in use at most than were in use before.
func peakMemory(f func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(2)) // so that little garbage is counted
	runtime.GC()
	used := func() int64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	before, most := used(), int64(0)
	var done atomic.Bool
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for !done.Load() {
			most = max(most, used())
			time.Sleep(100 * time.Microsecond)
		}
	}()
	f()
	done.Store(true)
	<-watched
	return most - before
}

// BenchmarkRequestMemory measures how much memory a request takes at most while it is
// read, translated to both other APIs and changed, and fails if that is more than
// RequestMemory estimates.
func BenchmarkRequestMemory(b *testing.B) {
	chat := func(messages string) string { return `{"model":"auto","messages":[` + messages + `]}` }
	const nodes = maxNodes - 10
	for _, shape := range []struct{ name, body string }{
		{"text of 1 MB", chat(`{"role":"user","content":"` + strings.Repeat("ten bytes ", 100_000) + `"}`)},
		{"text of 20 MB", chat(`{"role":"user","content":"` + strings.Repeat("ten bytes ", 2_000_000) + `"}`)},
		{"escapes of 20 MB", chat(`{"role":"user","content":"` + strings.Repeat(`\n\"`, 5_000_000) + `"}`)},
		{"image of 20 MB", chat(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("AAAA", 5_000_000) + `"}}]}`)},
		{"equal messages", chat(repeat(`{"role":"user","content":"a"}`, nodes))},
		{"alternating messages", chat(repeat(`{"role":"user","content":"a"},{"role":"assistant","content":"b"}`, nodes/2))},
		{"parts", chat(`{"role":"user","content":[` + repeat(`{"type":"text","text":"a"}`, nodes) + `]}`)},
		{"calls", chat(`{"role":"user","content":"a"},{"role":"assistant","tool_calls":[` + repeat(`{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}`, nodes/2) + `]}`)},
		{"results", chat(repeat(`{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"x"}`, nodes/5))},
		{"tools", `{"model":"auto","messages":[{"role":"user","content":"a"}],"tools":[` + repeat(`{"type":"function","function":{"name":"f"}}`, nodes/2) + `]}`},
		{"empty objects", chat(repeat(`{}`, nodes))},
	} {
		b.Run(shape.name, func(b *testing.B) {
			body := []byte(shape.body)
			estimate := RequestMemory(body)
			most := int64(math.MaxInt64) // the least of the runs, because each may have garbage
			once := func() {
				most = min(most, int64(len(body))+peakMemory(func() {
					r, err := ParseRequest(Chat, body)
					if err != nil {
						b.Fatal(err)
					}
					var kept [][]byte // the bodies for the candidates of each API
					for _, api := range []API{Chat, Responses, Messages} {
						out, err := translateBody(body, Chat, api)
						if err != nil {
							out = body
						}
						kept = append(kept, out)
					}
					Edit(kept[2], Edits{Model: "other", MaxTokens: 100, MaxTokensKey: "max_tokens"})
					runtime.KeepAlive(r)
					runtime.KeepAlive(kept)
				}))
			}
			for b.Loop() {
				for run := range 10 { // garbage, which is not needed, adds to some of the runs
					if once(); run >= 2 && most <= estimate {
						break
					}
				}
			}
			b.ReportMetric(float64(most)/float64(len(body)), "B/byte")
			b.ReportMetric(float64(most)/1e6, "MB")
			b.ReportMetric(float64(most)/float64(estimate), "of-estimate")
			if most > estimate {
				b.Errorf("%d bytes in use for a body of %d, but RequestMemory is %d", most, len(body), estimate)
			}
		})
	}
}
