package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/eval"
)

// FuzzRead writes everything that can be read as a report in every form.
func FuzzRead(f *testing.F) {
	small := hostile("<'\"&")
	for k := range small.Routers {
		l := &small.Routers[k]
		l.Curve, l.Traffic = l.Curve[:min(3, len(l.Curve))], l.Traffic[:min(3, len(l.Traffic))]
	}
	data, err := json.Marshal(small)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	const counts = `{"schema":"carrot.eval/1","queries":1,"skipped_incomplete":0,"cost_range_usd":[0,1],`
	f.Add([]byte(counts + `"models":["a"],"routers":[{"name":"zero-router","sources":[{"queries":1}]},{"name":"b","sources":[{"queries":0}],"traffic":[{"cost_usd":0,"quality":0,"shares":[1]},{"cost_usd":1,"quality":1,"shares":[0]}],"curve":[],"learning_curve":[{"queries":2}],"calibration":{"reliability":[{"count":0,"predicted":0,"observed":1}]},"robustness":[{"kept":1,"bill":1,"worst_bill":1}],"pair":{}}],"pairs":[{"a":"b","b":"zero-router","ci":[null,1]}]}`))
	f.Add([]byte(counts + `"routers":[{"name":"best-single","curve":[{"cost_usd":-1,"quality":1e300}]},{"name":"x","aiq":1,"peak":1e308,"curve":[{"cost_usd":1e300,"quality":-1e300}]}],"protocols":{"best_single_quality":1,"oracle_quality":1,"routers":[{"router":"x"}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		first := written(t, JSON, r)
		again, err := Read(strings.NewReader(first))
		if err != nil {
			t.Fatalf("what was read and written cannot be read: %v", err)
		}
		if got := written(t, JSON, again); got != first {
			t.Errorf("another reading differs:\n%s\nwant\n%s", got, first)
		}
		if err := errors.Join(r.WriteText(io.Discard), r.WriteDetails(io.Discard)); err != nil {
			t.Error(err)
		}
		last := r.Routers[len(r.Routers)-1].Name
		selected, err := Select(r, []string{last})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Read(strings.NewReader(written(t, JSON, selected))); err != nil {
			t.Errorf("a selection cannot be read: %v", err)
		}
		if tex := written(t, func(w io.Writer, r *eval.Report) error { return LaTeX(w, r, LaTeXOptions{InOrder: true}) }, selected); latexStructure(tex) != nil {
			t.Errorf("%v in\n%s", latexStructure(tex), tex)
		}
		for _, form := range forms {
			if err := form.write(io.Discard, r); err != nil {
				t.Errorf("%s: %v", form.name, err)
			}
		}
	})
}
