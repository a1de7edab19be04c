package rivals

// all lists the methods in the order of reports.
var all = []Method{
	// A uniform choice, the baseline of RouteLLM and RouterBench.
	{Name: "random", Worth: Share, Fast: true, Weight: 1,
		trials: func(int) []model { return []model{&random{}} }},
	// The call that is expected to cost least, whatever the query.
	{Name: "cheapest", Worth: Share, Fast: true, Weight: 1,
		trials: func(int) []model { return []model{&cheapest{}} }},
	// CARROT (arXiv 2502.03261), by the protocol of its code.
	{Name: "carrot-knn", Worth: Quality, Fast: true, Weight: 8,
		trials: func(int) []model { return []model{&carrotKNN{}} }},
	// CARROT, its neural variant on a frozen encoder.
	{Name: "carrot-mlp", Worth: Quality, Weight: 30,
		trials: carrotMLPs},
	// RouteLLM (arXiv 2406.18665), matrix factorisation.
	{Name: "routellm-mf", Worth: WinRate, Weight: 20,
		trials: factorizations},
	// RouteLLM, similarity-weighted Elo.
	{Name: "routellm-sw", Worth: WinRate, Weight: 20,
		trials: weightedElos},
	// RoRF (Not Diamond), pairwise random forests.
	{Name: "rorf", Worth: WinRate, Weight: 60,
		trials: pairForests},
	// RouterBench (arXiv 2403.12031), nearest neighbours.
	{Name: "routerbench-knn", Worth: Quality, Fast: true, Weight: 6,
		trials: benchNeighbours},
	// RouterBench, a network.
	{Name: "routerbench-mlp", Worth: Quality, Weight: 30,
		trials: benchMLPs},
	// UniRoute (arXiv 2502.08773), K-means.
	{Name: "uniroute", Worth: Quality, Fast: true, Weight: 6,
		trials: uniRoutes},
	// Avengers-Pro (arXiv 2508.12631), cluster ranking.
	{Name: "avengers-pro", Worth: Share, Fast: true, Weight: 6,
		trials: avengers},
	// IRT-Router (arXiv 2506.01048), two-parameter item response.
	{Name: "irt", Worth: Quality, Weight: 20,
		trials: itemResponses},
	// The best model as a class, as in LLMRouter; logistic regression.
	{Name: "classifier", Worth: Share, Fast: true, Weight: 8,
		trials: classifiers},
	// otari (Mozilla.ai), nearest neighbours with a confidence floor.
	{Name: "knn-abstain", Worth: Quality, Fast: true, Weight: 6,
		trials: abstainers},
	// LiteLLM's complexity router: features of the text, tiers.
	{Name: "complexity", Worth: Quality, Fast: true, Weight: 1,
		Features: Complexity{}, trials: tiers},
}
