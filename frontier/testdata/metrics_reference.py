"""Writes metrics_reference.json: small random problems and the metrics of three
routers on each, computed with numpy alone. It shares no code with the package.

    python metrics_reference.py

Definitions. A setting is a price of quality, lambda = 0 or one of 400 values evenly
spaced in log from 1e-3 to 1e6 per USD; at each, a router takes for every query the
model with the largest estimate of (score - lambda * cost); ties go to the cheaper,
then to the first. Its curve is the observed mean cost and mean score of these choices;
the zero router's curve is the single models.

AIQ is the mean of the upper concave envelope of the curve, flat beyond its ends, over
a linear axis between the cheapest and the most expensive single model. Here the envelope is
the highest chord at each of 4,000 places, so expect agreement to 1e-3 (a mean on a
grid), while peak, QNC and cost@95 are read off the curve and agree to rounding.
"""
import json
import pathlib

import numpy as np

LAMBDAS = np.concatenate([[0.0], np.logspace(-3, 6, 400)])


def curve(score, cost, guess_score, guess_cost):
    rows = np.arange(len(score))
    points = []
    for lam in LAMBDAS:
        utility = guess_score - lam * guess_cost
        cost_if_best = np.where(utility == utility.max(axis=1, keepdims=True), guess_cost, np.inf)
        choice = cost_if_best.argmin(axis=1)
        points.append((cost[rows, choice].mean(), score[rows, choice].mean()))
    return np.array(points)


def envelope(points, at):
    """The highest that mixing two points reaches at each cost, spending no more."""
    x, y = points[:, 0], points[:, 1]
    left, right = x.min(), x.max()
    at = np.clip(at, left, right)
    height = np.full(len(at), -np.inf)
    for xi, yi in points:
        height = np.maximum(height, np.where(xi <= at, yi, -np.inf))
    for i in range(len(points)):
        for j in range(len(points)):
            if x[i] < x[j]:
                chord = y[i] + (y[j] - y[i]) * (at - x[i]) / (x[j] - x[i])
                height = np.maximum(height, np.where((x[i] <= at) & (at <= x[j]), chord, -np.inf))
    return height


def measure(points, singles):
    points = np.unique(points, axis=0)
    best = max(range(len(singles)), key=lambda m: (singles[m][1], -singles[m][0]))
    least, top = singles[best]
    axis = np.linspace(singles[:, 0].min(), singles[:, 0].max(), 4000)
    reach = lambda quality: points[points[:, 1] >= quality - 1e-12, 0]
    ratio = lambda costs: float(costs.min() / least) if len(costs) else None
    return {
        "aiq": float(envelope(points, axis).mean()),
        "peak": float(points[:, 1].max()),
        "qnc": ratio(reach(top)),
        "cost95": ratio(reach(0.95 * top)),
    }


def problem(seed, queries=40, models=5):
    random = np.random.default_rng(seed)
    skill = np.sort(random.uniform(0.3, 0.8, models))
    hardness = random.normal(0, 0.3, (queries, 1))
    score = np.clip(skill - hardness + random.normal(0, 0.2, (queries, models)), 0, 1).round(2)
    level = np.logspace(-4, -1.5, models)[random.permutation(models) if seed % 2 else slice(None)]
    cost = (level * np.exp(random.normal(0, 0.5, (queries, models)))).round(7)
    noisy_score = (score + random.normal(0, 0.25, score.shape)).round(3)
    noisy_cost = (cost * np.exp(random.normal(0, 0.3, cost.shape))).round(7)
    singles = np.column_stack([cost.mean(axis=0), score.mean(axis=0)])
    return {
        "seed": seed,
        "score": score.tolist(), "cost": cost.tolist(),
        "noisy_score": noisy_score.tolist(), "noisy_cost": noisy_cost.tolist(),
        "want": {
            "zero-router": measure(singles, singles),
            "oracle": measure(curve(score, cost, score, cost), singles),
            "noisy": measure(curve(score, cost, noisy_score, noisy_cost), singles),
        },
    }


if __name__ == "__main__":
    # In the first the noisy router never reaches the best single, in the second the
    # best single is the cheapest model.
    problems = [problem(seed) for seed in range(4)]
    text = ",\n".join(json.dumps(p) for p in problems)
    pathlib.Path(__file__).with_suffix(".json").write_text("[\n" + text + "\n]\n")
