package eval

import (
	"strings"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/predict"
)

// Promises are measured for routers that hold what they are calibrated on, out of fold.
func TestPromises(t *testing.T) {
	set := world(t, 600).Set
	var objectives []carrot.Objective
	for _, text := range []string{"min-quality=0.5@0.6", "as-good-as-best@0.7", "max-cost=1@0.9", "max-cost=0.000000001@0.9", "min-quality=0.5@0.6,max-cost=1@0.9"} {
		o, err := carrot.ParseObjective(text)
		if err != nil {
			t.Fatal(err)
		}
		objectives = append(objectives, o)
	}
	r := evaluate(t, set, Options{Folds: 3, Promises: objectives, Contenders: []Contender{
		Predictor("knn", predict.Spec{Name: "knn", K: 16, KTokens: 16}),
		{Name: "words", Fit: fitByWord},
	}})
	if n := len(r.Routers[1].Promises); n != 0 {
		t.Errorf("a router that holds nothing has %d promises", n)
	}
	lines := r.Routers[0].Promises
	if len(lines) != 6 {
		t.Fatalf("%d promises, want one each and two of the last objective: %+v", len(lines), lines)
	}
	for _, l := range lines {
		switch {
		case l.Objective == "max-cost=0.000000001@0.9":
			if l.Feasible != 0 || l.Kept.String() != "none" {
				t.Errorf("%s is feasible: %+v", l.Objective, l)
			}
			continue
		case l.Promise == "max-cost=1@0.9" && (l.Binds || l.Kept != 1):
			t.Errorf("%s: %+v, want a promise that is always kept and never binds", l.Objective, l)
		case float64(l.Kept) < l.Stated-0.06 || l.Binds && float64(l.Kept) > l.Stated+0.1: // 600 queries
			t.Errorf("%s: %s kept on %v of the queries", l.Objective, l.Promise, l.Kept)
		case l.Feasible <= 0.2 || l.Feasible > 1 || !(l.Quality > 0) || !(l.CostUSD > 0):
			t.Errorf("%s: %+v", l.Objective, l)
		}
		if !strings.Contains(l.Objective, l.Promise) {
			t.Errorf("promise %s is not of %s", l.Promise, l.Objective)
		}
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if want := "min-quality=0.5@0.6,max-cost=1@0.9  max-cost=1@0.9"; !strings.Contains(text.String(), want) {
		t.Errorf("the text lacks %q:\n%s", want, text.String())
	}
}
