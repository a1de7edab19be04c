"""Makes sklearn_reference.json: small problems and what scikit-learn makes of them.

    python sklearn_reference.py > sklearn_reference.json

knn: KNeighborsRegressor with the k that cross_val_score chooses by R2 over the
default, unshuffled folds, as CARROT's code does it. tree and forest: classifiers
without a bootstrap that look at all features, so that nothing is drawn. logistic:
LogisticRegression with lbfgs, probabilities.
"""
import json
import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier

warnings.filterwarnings("ignore")
rng = np.random.default_rng(14)
n, held, dim, models = 63, 17, 5, 3
x = rng.normal(size=(n + held, dim)).astype(np.float32)
x /= np.linalg.norm(x, axis=1, keepdims=True)
score = 1 / (1 + np.exp(-(x @ rng.normal(size=(dim, models)) * 3 + 0.5 * rng.normal(size=(n + held, models)))))
score = np.round(score, 3)
tokens = np.round(np.exp(4 + x @ rng.normal(size=(dim, models)) + 0.3 * rng.normal(size=(n + held, models))))
train, test = x[:n].astype(float), x[n:].astype(float)


def knn(targets):
    regressor = lambda k: KNeighborsRegressor(k, metric="cosine", algorithm="brute")
    grid = [k for k in (2**i for i in range(1, 10)) if k <= n - (n + 4) // 5]
    means = [cross_val_score(regressor(k), train, targets, cv=5, scoring="r2").mean() for k in grid]
    k = grid[int(np.argmax(means))]
    return k, regressor(k).fit(train, targets).predict(test)


# Values on a coarse grid: every threshold lies between two of them.
coarse = np.round(rng.normal(size=(n + held, dim)), 1).astype(np.float32)
label = (coarse[:, 0] + coarse[:, 1] ** 2 + 0.4 * rng.normal(size=n + held) > 0.6).astype(int) + (coarse[:, 2] > 0.8)
trees = [DecisionTreeClassifier(max_depth=4, min_samples_leaf=3, random_state=s).fit(coarse[:n], label[:n]) for s in range(20)]
tree = trees[0]
assert all((t.predict_proba(coarse) == tree.predict_proba(coarse)).all() for t in trees), "two splits are equally good: change the seed"
best = score.argmax(axis=1)
logistic = LogisticRegression(C=2.0, tol=1e-10, max_iter=5000).fit(train, best[:n])
start = train[:4]
means = KMeans(4, init=start, n_init=1, algorithm="lloyd", tol=0, max_iter=100).fit(train)

k, scores = knn(score[:n])
k_tokens, volumes = knn(tokens[:n])
print(json.dumps({
    "train": n, "x": [[float(v) for v in row] for row in x], "score": score.tolist(), "tokens": tokens.tolist(),
    "k": k, "k_tokens": k_tokens, "knn": np.round(scores, 9).tolist(), "knn_tokens": np.round(volumes, 9).tolist(),
    "coarse": [[float(v) for v in row] for row in coarse], "label": label.tolist(), "depth": 4, "leaf": 3,
    "tree": np.round(tree.predict_proba(coarse[n:]), 9).tolist(),
    "c": 2.0, "best": best.tolist(), "logistic": np.round(logistic.predict_proba(test), 9).tolist(),
    "centers": np.round(means.cluster_centers_, 9).tolist(), "labels": means.labels_.tolist(),
}))
