package artifact_test

import (
	"context"
	"os"
	"testing"

	"github.com/carrot-router/carrot"
	"github.com/carrot-router/carrot/artifact"
	"github.com/carrot-router/carrot/embed"
	"github.com/carrot-router/carrot/price"
)

// prompt has about 100 tokens.
const prompt = `A cyclist leaves town A at 8 am at 18 km/h and a runner leaves town B, 63 km away on the same road, at 9 am at 12 km/h towards her. ` +
	`When they meet they rest for half an hour, and then each goes on to the other's starting point at the same speed as before. ` +
	`At what time does the cyclist arrive at town B, how far from town A did they meet, and how many kilometres has the runner covered when the cyclist arrives?`

// defaultRouter is the router in the binary.
func defaultRouter(tb testing.TB) *carrot.Router {
	tb.Helper()
	a, err := artifact.Default()
	if err != nil {
		tb.Fatal(err)
	}
	static, err := embed.Default()
	if err != nil {
		tb.Fatal(err)
	}
	router, err := a.Router(static, a.Pool(price.Default()))
	if err != nil {
		tb.Fatal(err)
	}
	return router
}

// BenchmarkDecision makes one decision with the router in the binary, counting
// tokens, as a gateway does for every request.
func BenchmarkDecision(b *testing.B) {
	router, query := defaultRouter(b), carrot.Query{Text: prompt}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := router.Route(context.Background(), query, carrot.Balanced); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecisionCounted does the same without counting tokens.
func BenchmarkDecisionCounted(b *testing.B) {
	router, query := defaultRouter(b), carrot.Query{Text: prompt, InputTokens: 100}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := router.Route(context.Background(), query, carrot.Balanced); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecisionPlans makes decisions with the router in the file that
// CARROT_BENCH_ROUTER names, among its models and among its models and plans.
func BenchmarkDecisionPlans(b *testing.B) {
	path := os.Getenv("CARROT_BENCH_ROUTER")
	if path == "" {
		b.Skip("CARROT_BENCH_ROUTER names no router with plans")
	}
	a, err := artifact.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	static, err := embed.Default()
	if err != nil {
		b.Fatal(err)
	}
	query := carrot.Query{Text: prompt}
	for name, candidates := range map[string][]carrot.Candidate{"models": a.Pool(nil), "plans": pool(a)} {
		router, err := a.Router(static, candidates)
		if err != nil {
			b.Fatal(err)
		}
		router = router.Trim()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := router.Route(context.Background(), query, carrot.Balanced); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// promising is an objective with two promises.
var promising = func() carrot.Objective {
	o, err := carrot.ParseObjective("min-quality=0.8@0.8,max-cost=0.003@0.9")
	if err != nil {
		panic(err)
	}
	return o
}()

// BenchmarkPromise makes one decision under an objective with promises.
func BenchmarkPromise(b *testing.B) {
	router, query := defaultRouter(b), carrot.Query{Text: prompt, InputTokens: 100}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := router.Route(context.Background(), query, promising); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCalibratePromises is what the first decision under an objective takes beside.
func BenchmarkCalibratePromises(b *testing.B) {
	router := defaultRouter(b)
	for b.Loop() {
		fresh, err := router.With(router.Candidates())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := fresh.Promises(promising, nil); err != nil {
			b.Fatal(err)
		}
	}
}
