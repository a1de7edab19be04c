"""Writes reference.json: figures by scikit-learn, scipy and numpy that agreement_test.go
compares its own with."""

import json

import numpy as np
from scipy import stats
from sklearn.metrics import cohen_kappa_score, confusion_matrix

rng = np.random.default_rng(17)


def rounded(values, digits=6):
    return [round(float(v), digits) for v in values]


def agreement(levels, weighted):
    n = 60
    human = rng.integers(0, levels + 1, n)
    judge = np.clip(human + rng.integers(-1, 2, n) * (rng.random(n) < 0.5), 0, levels)
    weight = rng.integers(1, 5, n) if weighted else np.ones(n, int)
    j, h = judge * 2 >= levels, human * 2 >= levels
    (neither, only_human), (only_judge, both) = confusion_matrix(j, h).tolist()
    return {
        "judge": rounded(judge / levels), "human": rounded(human / levels), "weight": weight.tolist(),
        "kappa": cohen_kappa_score(j, h, sample_weight=weight),
        "weighted_kappa": cohen_kappa_score(judge, human, weights="quadratic", labels=list(range(levels + 1)), sample_weight=weight),
        "agreement": float(np.average(j == h, weights=weight)),
        "confusion": {"both": both, "judge": only_judge, "human": only_human, "neither": neither},
    }


def powered(rows, labels, graded):
    human = rng.binomial(4, 0.6, rows) / 4 if graded else rng.integers(0, 2, rows).astype(float)
    judge = np.round(np.clip(0.3 + 0.4 * human + 0.2 * rng.standard_normal(rows), 0, 1), 6)
    y, f, rest = human[:labels], judge[:labels], judge[labels:]
    lam = np.cov(y, f)[0, 1] / np.var(f, ddof=1) / (1 + labels / len(rest))
    lam = min(1, max(0, lam))
    r = y - lam * f
    size = 1 if not graded else 4 * np.var(y, ddof=1)
    variance = (((r - r.mean()) ** 2).sum() + 0.9 * size) / (labels - 2 + 0.9)
    z = stats.norm.ppf(0.975)
    half = z * np.sqrt(variance / labels + lam**2 * np.var(judge, ddof=1) / len(rest))
    shift = (1 + 2 * z * z) / 6 * ((r - r.mean()) ** 3).mean() / variance / labels
    mean = lam * rest.mean() + r.mean()
    if graded:
        se = y.std(ddof=1) / np.sqrt(labels)
        low, high = stats.t.interval(0.95, labels - 1, y.mean(), se)
    else:
        ci = stats.binomtest(int(y.sum()), labels).proportion_ci(method="wilson")
        low, high = ci.low, ci.high
    return {
        "judge": rounded(judge), "human": rounded(y),
        "lambda": lam, "powered": [mean, mean + shift - half, mean + shift + half],
        "classical": [y.mean(), low, high],
    }


def alt_test(graded, epsilon):
    n, names = 50, ["a", "b", "c", "d"]
    top = 4 if graded else 1
    truth = rng.integers(0, top + 1, n)

    def annotate(noise):
        return np.where(rng.random(n) < noise, rng.integers(0, top + 1, n), truth) / top

    judge = annotate(0.2)
    human = {name: annotate(noise) for name, noise in zip(names, [0.1, 0.3, 0.4, 0.6])}
    scored = {name: rng.random(n) < 0.9 for name in names}
    rows = [{"judge": float(judge[i]), "human": {k: float(human[k][i]) for k in names if scored[k][i]}} for i in range(n)]

    def align(score, others):
        if graded:
            return -np.sqrt(np.mean([(score - o) ** 2 for o in others]))
        return np.mean([score == o for o in others])

    p, wins = [], []
    for name in names:
        judges, humans = [], []
        for row in rows:
            others = [v for k, v in sorted(row["human"].items()) if k != name]
            if name not in row["human"] or not others:
                continue
            a, b = align(row["judge"], others), align(row["human"][name], others)
            judges.append(float(a >= b - 1e-12))
            humans.append(float(b >= a - 1e-12))
        wins.append(np.mean(judges))
        p.append(stats.ttest_1samp(np.array(humans) - np.array(judges), epsilon, alternative="less").pvalue)
    rejected = stats.false_discovery_control(p, method="by") <= 0.05
    return {"rows": rows, "epsilon": epsilon, "p": [float(v) for v in p], "wins": [float(v) for v in wins],
            "winning_rate": float(np.mean(rejected)), "advantage": float(np.mean(wins))}


reference = {
    "agreement": [agreement(1, False), agreement(1, True), agreement(4, False), agreement(4, True)],
    "powered": [powered(200, 30, False), powered(200, 30, True), powered(400, 120, False)],
    "alt_test": [alt_test(False, 0.15), alt_test(False, 0.0), alt_test(True, 0.2)],
}
with open("reference.json", "w") as out:
    json.dump(reference, out, separators=(",", ":"))
    out.write("\n")
