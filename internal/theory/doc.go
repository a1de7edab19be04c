// Package theory tests the statistical claim behind the plug-in rule on problems
// where everything is known: dimension, smoothness, margin and noise.
//
// The rule of package carrot picks the model with the highest estimated utility
// q_m - c_m/w. Its excess risk is the loss against the router that knows the true
// expectations,
//
//	E(n) = mean over x of  max_m u_m(x) - u_chosen(x),  u_m = q_m - c_m/w,
//
// in units of quality. Suppose the regression functions are Hölder of
// smoothness γ on [0,1]^d and the margin condition holds with exponent α:
// P(0 < gap <= t) <= C·t^α for the gap between the best and the second best
// utility. Then, with estimators of the right bandwidth,
//
//	E(n) <= constant · n^(-γ(1+α)/(2γ+d)),
//
// and no method does better uniformly over such problems. γ is the smoothness of
// the least smooth metric that has to be estimated; a known cost does not count.
// The exponent is that of plug-in classification (Audibert and Tsybakov, Fast
// learning rates for plug-in classifiers, Annals of Statistics 35, 2007,
// 608-633); section 3 of CARROT (arXiv 2502.03261) carries the analysis over
// to routing between models by a convex combination of metrics.
//
// A [Problem] is such a problem, the same at every n; its comment proves the margin
// exponent. A [Setting] has the problems that no rule can be faster on, another one
// for every n; its comment proves that. [Run] simulates [Scenarios] and [Settings]
// and fits slopes to log risk against log n. The [Report] writes itself as two
// tables and, for the fixed problems, as a picture.
//
// Nothing here is meant for serving: the estimators are the textbook ones, with
// exhaustive search, on data that the package draws itself.
package theory
