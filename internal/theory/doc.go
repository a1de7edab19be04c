// Package theory checks the statistical promise behind the plug-in rule on
// problems where everything is known: dimension, smoothness, margin and noise.
//
// The rule of package carrot picks the model with the highest estimated
// utility q_m - c_m/w. Its excess risk is what it loses to the router that
// knows the true expectations,
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
// and no method does better uniformly over such problems. γ is that of the
// least smooth metric that has to be estimated; a known cost does not count.
// The exponent is that of plug-in classification (Audibert and Tsybakov, Fast
// learning rates for plug-in classifiers, Annals of Statistics 35, 2007,
// 608-633); section 3 of CARROT (arXiv 2502.03261) carries the analysis over
// to routing between models by a convex combination of metrics.
//
// [Problem] makes such problems, with the margin exponent proved in its
// comment; [Run] simulates [Scenarios] and fits slopes to log risk against log
// n; the [Report] writes itself as a table and as a picture.
//
//	report, err := theory.Run(ctx, theory.Config{Quick: true})
//	err = report.WriteText(os.Stdout)
//
// Nothing here serves a router: the estimators are the textbook ones, searched
// exhaustively, and want no data but their own.
package theory
