package report

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
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
	f.Add([]byte(`{"schema":"carrot.eval/1","models":["a"],"routers":[{"name":"zero-router","sources":[{}]},{"name":"b","sources":[{}],"traffic":[{},{"cost_usd":1}],"curve":[{},{}],"learning_curve":[{}],"calibration":{"reliability":[{}]},"robustness":[{}],"pair":{}}],"pairs":[{"ci":[null,1]}]}`))
	f.Add([]byte(`{"schema":"carrot.eval/1","routers":[{"name":"best-single","curve":[{"cost_usd":-1,"quality":1e300}]},{"name":"x","aiq":1,"peak":1e308,"curve":[{"cost_usd":1e300,"quality":-1e300}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, form := range forms {
			if err := form.write(io.Discard, r); err != nil {
				t.Errorf("%s: %v", form.name, err)
			}
		}
	})
}
