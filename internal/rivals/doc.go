// Package rivals holds the routers that CARROT is measured against, each a
// [carrot.Predictor] once it is fitted, so that all run on the same queries,
// the same representations, the same prices and the same rule of choice.
//
// A rival says of every model what it is worth on a query (Forecast.Quality)
// and what it costs, and the plug-in rule picks the largest
//
//	worth_m - λ·cost_m
//
// over all λ: that is RouteLLM's threshold on a win rate, RouterBench's
// willingness to pay and Avengers-Pro's α, each a reparametrisation of λ. The
// worth of some rivals is a quality, of others a win rate or a share; only the
// first kind is calibrated ([Method.Worth]). Unless a rival forecasts tokens,
// its cost is each model's mean observed cost on the training queries.
//
//	methods, err := rivals.Parse("all")
//	router, err := methods[0].Fit(ctx, data, nil)
//	err = router.Predict(representations, predictions)
//
// [Method.Fit] tries the method's settings, the authors' own first, out of fold
// on the training queries, keeps the one with the highest AIQ and fits again on
// all: the same budget of trials for everyone. docs/rivals.md has the sources.
//
// A [Cascade] is no predictor: it looks at answers. It has an interface of its
// own.
package rivals
