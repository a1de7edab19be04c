"""Makes sklearn_reference.json: a small problem and what scikit-learn's
KNeighborsRegressor and Ridge predict for it.

    python sklearn_reference.py > sklearn_reference.json
"""
import json
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

rng = np.random.default_rng(7)
n, held, dim, models, k, k_tokens, alpha = 60, 15, 6, 3, 5, 9, 0.7
x = rng.normal(size=(n + held, dim)).astype(np.float32)
x /= np.linalg.norm(x, axis=1, keepdims=True)
score = 1 / (1 + np.exp(-(x @ rng.normal(size=(dim, models)) * 2 + rng.normal(size=(n + held, models)))))
score = np.round(score, 3)
tokens = np.round(np.exp(4 + x @ rng.normal(size=(dim, models)) + 0.3 * rng.normal(size=(n + held, models))))
train, test = x[:n].astype(float), x[n:].astype(float)
targets = np.hstack([score[:n], np.log1p(tokens[:n])])


def knn(count):
    return KNeighborsRegressor(count, metric="cosine", algorithm="brute").fit(train, targets).predict(test)


both = knn(k)
both[:, models:] = knn(k_tokens)[:, models:]
out = {
    "k": k, "k_tokens": k_tokens, "alpha": alpha,
    "x": [[float(v) for v in row] for row in x],
    "train": n,
    "score": score[:n].tolist(), "tokens": tokens[:n].tolist(),
    "knn": np.round(both, 9).tolist(),
    "ridge": np.round(Ridge(alpha=alpha).fit(train, targets).predict(test), 9).tolist(),
}
print(json.dumps(out))
