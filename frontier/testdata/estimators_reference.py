"""Writes estimators_reference.json: small random problems and every figure of the
package on them, computed with numpy, scipy and scikit-learn. It shares no code with
the package.

    python estimators_reference.py

Curves. AIQ is the area under the upper edge of scipy's convex hull of the points and
three helpers: one far right at the peak, for the flat part, and two far below, so that
the hull of a single point has an inside. Its trapezoids are cut at the hull's corners,
so it is exact. AUDC is the same of numpy.interp through the best point of each cost.
A figure that does not exist is null: QNC and cost@95 of a quality that no point
reaches, CPT of a PGR that the line does not reach, rank correlation of a constant.

Pairs of models. The PGR is the line through the points of shares in [0,1] and the two
models; APGR is its integral and CPT(x) the least root of PGR = x, both by
scipy.interpolate.PPoly.

Estimators. Predictions and observations are probabilities with outcomes of 0 or 1,
probabilities with graded scores, or counts; some have ties, some lie on the edges
of bins.
"""
import json
import pathlib
import warnings

import numpy as np
from scipy.interpolate import PPoly, make_interp_spline
from scipy.spatial import ConvexHull
from scipy.stats import binned_statistic, spearmanr
from sklearn.metrics import brier_score_loss, mean_absolute_error, mean_squared_error, r2_score


def number(value):
    return float(value) if np.isfinite(value) else None


def best_of_each_cost(points):
    cost = np.unique(points[:, 0])
    return cost, np.array([points[points[:, 0] == c, 1].max() for c in cost])


def mean_height(cost, quality, low, high):
    if low == high:
        return np.interp(low, cost, quality)
    at = np.concatenate([[low], cost[(cost > low) & (cost < high)], [high]])
    return np.trapezoid(np.interp(at, cost, quality), at) / (high - low)


def aiq(points, low, high):
    left, peak = points[:, 0].min(), points[:, 1].max()
    right = 2 * max(points[:, 0].max(), high)
    helped = np.vstack([points, [[right, peak], [left, -1], [right, -1]]])
    corners = helped[ConvexHull(helped).vertices]
    return mean_height(*best_of_each_cost(corners[corners[:, 1] > -1]), low, high)


def least(points, quality):
    return points[points[:, 1] >= quality - 1e-12, 0].min(initial=np.inf)


def curve_problem(name, points, singles):
    points, singles = np.array(points, dtype=float), np.array(singles, dtype=float)
    low, high = singles[:, 0].min(), singles[:, 0].max()
    best = np.lexsort((singles[:, 0], -singles[:, 1]))[0]
    cost, top = singles[best]
    return {
        "name": name, "points": points.tolist(), "singles": singles.tolist(),
        "want": {
            "audc": number(mean_height(*best_of_each_cost(points), low, high)),
            "aiq": number(aiq(points, low, high)),
            "peak": number(points[:, 1].max()),
            "qnc": number(least(points, top) / cost),
            "cost95": number(least(points, 0.95 * top) / cost),
            "arena": [arena(quality, 1000 * usd) for usd, quality in points],
            "regret": [float((top - quality) - (cost - usd) / 0.5) for usd, quality in points],
        },
    }


def arena(accuracy, usd):
    """The harmonic mean of accuracy and cheapness, with weights 1 and 0.1."""
    if usd >= 200 or accuracy == 0:
        return 0.0
    usd = max(usd, 0.0044)
    cheapness = (np.log2(200) - np.log2(usd)) / (np.log2(200) - np.log2(0.0044))
    return float(1.1 / (0.1 / cheapness + 1 / accuracy))


def pair_problem(name, points, weak, strong):
    points = np.array(points, dtype=float).reshape(-1, 2)
    inside = points[(points[:, 0] >= 0) & (points[:, 0] <= 1)]
    share, quality = best_of_each_cost(np.vstack([inside, [[0, weak], [1, strong]]]))
    spline = make_interp_spline(share, (quality - weak) / (strong - weak), k=1)
    line = PPoly.from_spline(spline)
    targets = [0.2, 0.5, 0.8, 1.3]
    roots = [line.solve(x, extrapolate=False) for x in targets]
    return {
        "name": name, "points": points.tolist(), "weak": weak, "strong": strong,
        "want": {
            "apgr": float(line.integrate(0, 1)),
            "x": targets,
            "cpt": [number(np.nanmin(r, initial=np.inf)) for r in roots],
        },
    }


def estimator_problem(name, predicted, observed, bins):
    predicted, observed = np.array(predicted, dtype=float), np.array(observed, dtype=float)
    edges = np.arange(bins + 1) / bins
    inside = np.clip(predicted, 0, 1)

    def per_bin(values, statistic):
        return np.nan_to_num(binned_statistic(inside, values, statistic, bins=edges).statistic)

    count, mean_f, mean_y = per_bin(predicted, "count"), per_bin(predicted, "mean"), per_bin(observed, "mean")
    binary = set(observed) == {0.0, 1.0} and predicted.min() >= 0 and predicted.max() <= 1
    square = brier_score_loss(observed, predicted) if binary else mean_squared_error(observed, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one element, or constant
        r2, rho = r2_score(observed, predicted), spearmanr(predicted, observed).statistic
    return {
        "name": name, "predicted": predicted.tolist(), "observed": observed.tolist(), "bins": bins,
        "want": {
            "brier": float(square),
            "count": count.astype(int).tolist(), "mean_predicted": mean_f.tolist(), "mean_observed": mean_y.tolist(),
            "ece": float(np.average(np.abs(mean_f - mean_y), weights=count)),
            "r2": number(r2),
            "mean": float(observed.mean()),
            "mae": float(mean_absolute_error(observed, predicted)),
            "relative_mae": float(np.abs(predicted - observed).sum() / observed.sum()),
            "bias": float((predicted - observed).sum() / observed.sum()),
            "coverage": float(np.count_nonzero(observed <= predicted) / len(observed)),
            "rank": number(rho),
        },
    }


def curves():
    random = np.random.default_rng(1)
    singles = np.column_stack([np.logspace(-4, -1.5, 5), [0.4, 0.55, 0.5, 0.75, 0.7]]).round(6)
    yield curve_problem("one point", [[0.004, 0.6]], singles)
    yield curve_problem("one point below the axis", [[0.00001, 0.6]], singles)
    yield curve_problem("one point beyond the axis", [[0.5, 0.8]], singles)
    yield curve_problem("the same point twice", [[0.004, 0.6], [0.004, 0.6]], singles)
    yield curve_problem("on one line", [[0.01, 0.5], [0.02, 0.6], [0.03, 0.7]], singles)
    yield curve_problem("more expensive and worse", [[0.001, 0.7], [0.01, 0.6], [0.02, 0.3]], singles)
    yield curve_problem("one single model", [[0.001, 0.5], [0.003, 0.6]], [[0.002, 0.6]])
    yield curve_problem("singles of one quality", [[0.001, 0.5], [0.004, 0.6]], [[0.002, 0.6], [0.001, 0.6]])
    yield curve_problem("the singles themselves", singles, singles)
    for k in range(8):
        cost = random.uniform(1e-5, 0.06, 30) if k % 2 else np.logspace(-5, -1, 30)
        quality = np.clip(0.4 + 0.08 * np.log10(cost / 1e-4) + random.normal(0, 0.08, 30), 0, 1)
        points = np.column_stack([cost.round(6), quality.round(6)])
        if k >= 4:  # ties in cost and in quality
            points = np.column_stack([cost.round(2) + 0.001, quality.round(1)])
        yield curve_problem(f"random {k}", points, singles)


def pairs():
    random = np.random.default_rng(2)
    yield pair_problem("the models alone", [], 0.4, 0.8)
    yield pair_problem("one point", [[0.5, 0.7]], 0.4, 0.8)
    yield pair_problem("shares out of range", [[-0.5, 0.9], [0.25, 0.6], [1.5, 0.1]], 0.4, 0.8)
    yield pair_problem("better than both", [[0.3, 0.5], [0.6, 0.95]], 0.4, 0.8)
    yield pair_problem("the more expensive one is weaker", [[0.3, 0.7], [0.6, 0.5]], 0.8, 0.4)
    for k in range(6):
        share = random.uniform(0, 1, 20).round(1 if k % 2 else 6)
        quality = 0.4 + 0.4 * np.sqrt(share) * random.uniform(0.5, 1.2, 20)
        points = [[s, q] for s, q in zip(share, quality.round(6)) if 0 < s < 1]
        yield pair_problem(f"random {k}", points, 0.4, 0.8)


def estimators():
    random = np.random.default_rng(3)
    yield estimator_problem("one element", [0.25], [1], 10)
    yield estimator_problem("constant predictions", [0.5, 0.5, 0.5], [0, 1, 1], 4)
    yield estimator_problem("constant observations", [0.2, 0.5, 0.9], [1, 1, 1], 4)
    yield estimator_problem("exact", [0.1, 0.5, 0.9], [0.1, 0.5, 0.9], 5)
    yield estimator_problem("on the edges of bins", np.arange(101) / 100, random.integers(0, 2, 101), 100)
    for k in range(6):
        ability = random.uniform(0, 1, 60)
        predicted = np.clip(ability + random.normal(0, 0.2, 60), 0, 1)
        predicted = predicted.round(1 if k % 2 else 6)
        graded = np.clip(ability + random.normal(0, 0.1, 60), 0, 1).round(2)
        observed = graded if k < 3 else (random.uniform(0, 1, 60) < ability).astype(float)
        yield estimator_problem(f"probabilities {k}", predicted, observed, [1, 7, 10][k % 3])
    for k in range(4):
        tokens = np.exp(random.normal(5, 1, 40)).round(0 if k < 2 else -2) + 1
        predicted = (tokens * np.exp(random.normal(0.1, 0.6, 40))).round(3 if k % 2 else -1)
        yield estimator_problem(f"counts {k}", predicted, tokens, 10)


if __name__ == "__main__":
    groups = {"curves": curves(), "pairs": pairs(), "estimators": estimators()}
    parts = [f'"{name}": [\n' + ",\n".join(json.dumps(p) for p in g) + "\n]" for name, g in groups.items()]
    text = "{\n" + ",\n".join(parts) + "\n}\n"
    pathlib.Path(__file__).with_suffix(".json").write_text(text)
