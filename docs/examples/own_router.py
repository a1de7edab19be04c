#!/usr/bin/env python3
"""A router of your own: ridge regression on tf-idf, fitted on the folds of carrot eval.

    carrot data folds --data mydata --folds 5 --out folds.jsonl
    python3 own_router.py mydata folds.jsonl predictions.jsonl
    carrot eval --data mydata --folds 5 --predictions mine=predictions.jsonl

Needs numpy and scikit-learn.
"""

import csv
import gzip
import json
import os
import sys

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

data, folds, out = sys.argv[1:]


def read(name):
    """Opens a file of the data folder, which may be gzipped."""
    path = f"{data}/{name}"
    return open(path, encoding="utf-8", newline="") if os.path.exists(path) else gzip.open(path + ".gz", "rt", encoding="utf-8", newline="")


with read("queries.jsonl") as f:
    prompt = {q["id"]: q["prompt"] for q in map(json.loads, f)}
with open(folds, encoding="utf-8") as f:
    fold = {q["id"]: q["fold"] for q in map(json.loads, f)}
with read("models.json") as f:
    models = [m["name"] for m in json.load(f) if m.get("pool", True)]
score, tokens = {}, {}
with read("outcomes.csv") as f:
    for row in csv.DictReader(f):
        if row["score"] and row["output_tokens"]:  # an empty field was not observed, and is not zero
            score[row["id"], row["model"]] = float(row["score"])
            tokens[row["id"], row["model"]] = float(row["output_tokens"])

with open(out, "w", encoding="utf-8") as f:
    for held in sorted(set(fold.values())):
        train, test = [i for i in fold if fold[i] != held], [i for i in fold if fold[i] == held]
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        x_train, x_test = words.fit_transform([prompt[i] for i in train]), words.transform([prompt[i] for i in test])
        candidates = [[] for _ in test]
        for model in models:
            seen = [k for k, i in enumerate(train) if (i, model) in score]
            quality = Ridge(alpha=2).fit(x_train[seen], [score[train[k], model] for k in seen]).predict(x_test)
            length = Ridge(alpha=2).fit(x_train[seen], [tokens[train[k], model] for k in seen]).predict(x_test)
            for k in range(len(test)):
                candidates[k].append({"name": model, "quality": float(np.clip(quality[k], 0, 1)), "output_tokens": float(max(length[k], 1))})
        for k, i in enumerate(test):
            f.write(json.dumps({"id": i, "candidates": candidates[k]}) + "\n")
