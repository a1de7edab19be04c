"""Opens saved routers with the public safetensors package, as a user would.

    python3 check_artifact.py FILE...
"""

import json
import sys

import numpy as np
from safetensors import safe_open


def check(path):
    with safe_open(path, framework="numpy") as file:
        manifest = json.loads(file.metadata()["carrot"])
        names = list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    assert manifest["format"] == "carrot.router/1", manifest["format"]
    for key in ("embedder", "predictor", "models", "data", "frontier", "best_single", "metrics", "command", "licence"):
        assert key in manifest, f"manifest lacks {key}"
    assert len({m["name"] for m in manifest["models"]}) == len(manifest["models"]) > 0
    assert len(manifest["frontier"]) > 1 and tensors
    for name, tensor in tensors.items():
        if np.issubdtype(tensor.dtype, np.floating):
            # NaN is an outcome, or a number of input tokens, that was not observed.
            good = ~np.isinf(tensor) if name.endswith(("knn.target", "holdout.input")) else np.isfinite(tensor)
            assert good.all(), f"{name} is not finite"
    size = sum(tensor.nbytes for tensor in tensors.values())
    print(f"{path}: {manifest['predictor']['name']}, {len(manifest['models'])} models, "
          f"{len(tensors)} tensors, {size} bytes")


for path in sys.argv[1:]:
    check(path)
