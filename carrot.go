// Package carrot routes queries to language models: for every query it
// estimates what each candidate's answer would be worth and would cost, and
// picks the candidate with the best trade-off.
//
// It implements CARROT (Cost AwaRe Rate Optimal rouTer, arXiv 2502.03261). A
// [Router] joins four parts:
//
//	embed     text  -> Representation            (an Embedder)
//	predict   Representation -> Forecasts        (a Predictor)
//	price     tokens -> USD                      (a Price per candidate)
//	decide    quality, cost, Objective -> choice (Decide)
//
// The decision rule is the paper's plug-in rule (section 3): with quality q_m
// and cost c_m estimated, choose the m that maximises
//
//	u_m = q_m - c_m / w
//
// where w, the willingness to pay in USD per unit of quality, is the only
// number inside an [Objective]. The paper's form (1-μ)·q - μ·K·c is the same
// rule with w = (1-μ)/(μ·K). Prices and the objective are read at request
// time: both change without training.
//
// Most programs load a saved router (see the example of package artifact) and ask
// it for decisions:
//
//	decision, err := router.Route(ctx, carrot.Query{Text: prompt}, carrot.Balanced)
//	if err != nil {
//		return err
//	}
//	fmt.Println(decision.Model, decision.Reason())
//
// What is unknown is never zero: a price that is not set, a cost that cannot be
// computed and a model without token counts are excluded or reported, not free.
//
// This package imports nothing but the standard library and a helper that does
// the same. It knows neither HTTP nor how predictors are fitted.
package carrot
