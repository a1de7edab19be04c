// Package rivals holds the routers that CARROT is measured against, each a
// [carrot.Predictor] once it is fitted, so that all run on the same queries,
// the same representations, the same prices and the same rule of choice.
//
// A rival forecasts what every model is worth on a query (Forecast.Quality) and
// what it costs, and the plug-in rule picks the model with the largest
//
//	worth_m - λ·cost_m
//
// at every λ. RouteLLM's threshold on a win rate, RouterBench's willingness to
// pay and Avengers-Pro's α are reparametrisations of λ. The worth of some rivals
// is a quality, that of others a win rate or a share; only qualities are
// calibrated ([Method.Worth]). Unless a rival forecasts tokens, the cost of a
// model is its mean observed cost on the training queries.
//
// [Method.Fit] tries the method's settings, the authors' own first, out of fold
// on the training queries, keeps the one with the highest AIQ and fits it on all
// of them. All methods have the same budget of trials. docs/rivals.md has the
// sources.
//
// A [Cascade] looks at answers, so it is not a predictor and has methods of its
// own.
package rivals
