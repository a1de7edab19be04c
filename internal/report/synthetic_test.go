package report

import (
	"fmt"
	"math"

	"github.com/carrot-router/carrot/eval"
)

// synthetic makes a report of some routers with a bit of everything. Its figures
// are invented.
func synthetic(routers int) *eval.Report {
	models := []string{"acme-large", "acme-small", "coder-7b"}
	cost, quality := []float64{0.004, 0.0007, 0.0001}, []float64{0.82, 0.7, 0.45}
	r := &eval.Report{Schema: eval.Schema, Dataset: "invented", Fingerprint: "sha256:0123", Split: "test", Queries: 1200, Skipped: 3,
		Models: models, CostRangeUSD: [2]float64{0.0001, 0.004}, BestSingle: models[0], Notes: []string{"q.safetensors was trained on this data"},
		Provenance: eval.Provenance{Command: "carrot eval --data invented", Version: "v0", Seed: 7, Bootstrap: 100, Embedder: "static@1",
			Prices: []eval.ModelPrice{{Model: models[0], InputUSDPerMillion: 3, OutputUSDPerMillion: 15}, {Model: models[1], InputUSDPerMillion: 0.15, OutputUSDPerMillion: 0.6}, {Model: models[2], InputUSDPerMillion: nan, OutputUSDPerMillion: nan}}}}
	names := []string{"blend", "knn", "a-rival"}
	for k := 3; k < routers; k++ {
		names = append(names, fmt.Sprintf("rival-%d", k))
	}
	for k, name := range append(names[:routers:routers], meanName) {
		r.Routers = append(r.Routers, syntheticRouter(name, 0.79-0.01*float64(k), 1+0.02*float64(k)))
	}
	single := syntheticRouter(singleName, 0.7, 1)
	single.AIQ, single.AIQInterval, single.GapClosed, single.AUDC, single.Traffic, single.Calibration, single.LearningCurve, single.Robustness, single.Promises = nan, nil, nan, nan, nil, nil, nil, nil, nil
	single.Curve = []eval.CurvePoint{{USDPerQuality: nan, CostUSD: cost[0], Quality: quality[0], Model: models[0]}}
	zero := single
	zero.Name, zero.AIQ, zero.AIQInterval, zero.Curve = zeroName, 0.76, []eval.Number{0.74, 0.78}, nil
	for m, name := range models {
		zero.Curve = append(zero.Curve, eval.CurvePoint{USDPerQuality: nan, CostUSD: cost[m], Quality: quality[m], Model: name})
	}
	oracle := syntheticRouter(oracleName, 0.9, 0.3)
	oracle.Traffic, oracle.Calibration, oracle.LearningCurve, oracle.Robustness, oracle.Promises, oracle.Settings, oracle.Worth = nil, nil, nil, nil, nil, nil, ""
	r.Routers = append(r.Routers, single, zero, oracle)
	for i := range r.Routers[:routers] {
		for j := range r.Routers[i+1:] {
			b := r.Routers[i+1+j]
			if b.Name == singleName || b.Name == oracleName {
				continue
			}
			d := r.Routers[i].AIQ - b.AIQ
			r.Pairs = append(r.Pairs, eval.Pair{A: r.Routers[i].Name, B: b.Name, AIQDiff: d, Interval: []eval.Number{d - 0.015, d + 0.015}})
		}
	}
	r.Protocols = &eval.ProtocolReport{BestSingleQuality: 0.82, OracleQuality: 0.9}
	for k, l := range r.Routers[:min(2, routers)] {
		paper := eval.ProtocolLine{RoutedAccuracy: l.Peak, Quality: 1.001, Cost: eval.Number(0.4 + 0.1*float64(k)), Setting: "mu=0.42"}
		ours := eval.ProtocolLine{RoutedAccuracy: l.Peak, Quality: 0.99, Cost: 0.55, Setting: "usd-per-quality=0.01"}
		if k == 1 {
			paper.Quality, paper.Cost, paper.Setting = nan, nan, "none"
		}
		r.Protocols.Routers = append(r.Protocols.Routers, eval.Protocol{Router: l.Name, Paper: paper, Ours: ours})
	}
	return r
}

var nan, inf = eval.Number(math.NaN()), eval.Number(math.Inf(1))

// syntheticRouter has a curve of 401 settings, of which few differ.
func syntheticRouter(name string, aiq float64, level float64) eval.RouterLine {
	l := eval.RouterLine{Name: name, AIQ: eval.Number(aiq), AIQInterval: []eval.Number{eval.Number(aiq - 0.02), eval.Number(aiq + 0.02)},
		Peak: eval.Number(aiq + 0.05), PeakCI: []eval.Number{eval.Number(aiq + 0.03), eval.Number(aiq + 0.07)},
		QNC: eval.Number(0.5 * level), QNCInterval: []eval.Number{0.4, inf}, Cost95: 0.2, GapClosed: eval.Number((aiq - 0.76) / 0.14),
		Worth: "quality", Settings: []string{`{"name":"` + name + `"}`}, AUDC: eval.Number(aiq - 0.005), Arena: 0.6,
		Calibration: &eval.Calibration{Brier: 0.15, ECE: 0.02, R2: 0.1, OutputTokensMAE: nan, OutputTokensRelativeMAE: nan, OutputTokensBias: nan, OutputTokensP90: nan,
			QualityZ: 1.1, CostBias: -0.01, CostRelativeMAE: 0.3, CostRankCorrelation: 0.9,
			Reliability: []eval.ReliabilityBin{{Count: 50, Predicted: 0.3, Observed: 0.28}, {Count: 500, Predicted: 0.6, Observed: 0.63}, {Count: 90, Predicted: 0.9, Observed: 0.88}}},
		Regret:        []eval.RegretAt{{Objective: "usd-per-quality=0.004", USDPerQuality: 0.004, Regret: 0.1}, {Objective: "usd-per-quality=0.04", USDPerQuality: 0.04, Regret: 0.05, OracleTuned: name == "a-rival"}},
		Sources:       []eval.SourceLine{{Source: "sums", Queries: 800, AIQ: eval.Number(aiq - 0.01), Peak: 0.8, QNC: 0.5}, {Source: "dates", Queries: 400, AIQ: eval.Number(aiq + 0.03), Peak: 0.8, QNC: inf}},
		LearningCurve: []eval.LearningPoint{{Queries: 100, AIQ: eval.Number(aiq - 0.05), Peak: 0.7}, {Queries: 1000, AIQ: eval.Number(aiq), Peak: 0.8}},
		Robustness:    []eval.Robustness{{Perturbation: "upper case", Kept: 0.97, Bill: 1.02, Worst: 2.5}},
		Promises:      []eval.PromiseLine{{Objective: "cheap,max-cost=0.01@0.9", Promise: "max-cost=0.01@0.9", Stated: 0.9, Feasible: 0.97, Kept: 0.912, Quality: 0.8, CostUSD: 0.004, Binds: true}}}
	const settings = 401
	for s := range settings {
		w := eval.Number(math.Pow(10, 3-9*float64(s)/settings))
		if s == 0 {
			w = inf
		}
		// Few settings reach different points.
		x := 1 - math.Floor(float64(s)/40)/10
		p := eval.CurvePoint{USDPerQuality: w, CostUSD: 0.0001 + 0.0039*x*x*level, Quality: 0.45 + (aiq-0.4)*math.Sqrt(x)}
		l.Curve = append(l.Curve, p)
		if s%10 == 0 {
			l.Traffic = append(l.Traffic, eval.TrafficPoint{USDPerQuality: w, CostUSD: p.CostUSD, Quality: p.Quality, Shares: []float64{x * x, 2 * x * (1 - x), (1 - x) * (1 - x)}})
		}
	}
	return l
}

// hostile makes a report with the text in every name.
func hostile(text string) *eval.Report {
	r := synthetic(3)
	r.Dataset, r.Split, r.Fingerprint, r.BestSingle, r.Notes = text+"data", text+"split", text, text+"0", []string{text}
	r.Provenance.Command, r.Provenance.Version, r.Provenance.Embedder = text, text, text
	for m := range r.Models {
		r.Models[m] = fmt.Sprint(text, m)
		r.Provenance.Prices[m].Model = r.Models[m]
	}
	for k := range r.Routers {
		l := &r.Routers[k]
		if !isReference(l.Name) {
			for p := range r.Pairs {
				for _, name := range []*string{&r.Pairs[p].A, &r.Pairs[p].B} {
					if *name == l.Name {
						*name = text + l.Name
					}
				}
			}
			for p := range r.Protocols.Routers {
				if one := &r.Protocols.Routers[p]; one.Router == l.Name {
					one.Router, one.Paper.Setting, one.Ours.Setting = text+l.Name, text, text
				}
			}
			l.Name = text + l.Name
		}
		for s := range l.Settings {
			l.Settings[s] = text
		}
		if k == 1 {
			l.External = &eval.PredictionsFile{File: text, SHA256: text}
		}
		for p := range l.Curve {
			if k == 1 {
				l.Curve[p].Setting = fmt.Sprint(text, p)
			}
			if l.Curve[p].Model != "" {
				l.Curve[p].Model = r.Models[p%len(r.Models)]
			}
		}
		for s := range l.Sources {
			l.Sources[s].Source = text + l.Sources[s].Source
		}
		for s := range l.Promises {
			l.Promises[s].Objective, l.Promises[s].Promise = text, text
		}
		for s := range l.Robustness {
			l.Robustness[s].Perturbation = text
		}
		l.Worth, l.Regret[0].Objective, l.Regret[0].USDPerQuality = text, text, nan
		l.Pair = &eval.PairMetrics{Strong: r.Models[0], Weak: r.Models[1], APGR: 0.6, CPT50: nan, CPT80: 0.3}
	}
	return r
}
