#!/usr/bin/env python3
"""Vectors of your own for carrot's predictors, here a random projection of hashed words.

    python3 own_vectors.py mydata vectors.npy
    carrot eval --data mydata --folds 5 --predictor knn --embedder static,npy:vectors.npy

Needs numpy and scikit-learn.
"""

import gzip
import json
import os
import sys

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.random_projection import GaussianRandomProjection

data, out = sys.argv[1:]
path = f"{data}/queries.jsonl"
with open(path, encoding="utf-8") if os.path.exists(path) else gzip.open(path + ".gz", "rt", encoding="utf-8") as f:
    prompts = [json.loads(line)["prompt"] for line in f]
hashed = HashingVectorizer(n_features=2**14).transform(prompts)
vectors = GaussianRandomProjection(n_components=128, random_state=0).fit_transform(hashed)
np.save(out, vectors.astype("<f4"))  # one row for each query, in the order of queries.jsonl
