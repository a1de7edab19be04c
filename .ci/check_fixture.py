"""Compares a committed test fixture with one that its script has just made.

    python3 check_fixture.py COMMITTED MADE

JSON is compared value by value. Numbers may differ by 1e-5, relative or absolute,
because processors add floats in different orders. Everything else must be equal
byte for byte.
"""

import gzip
import json
import math
import sys


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    return gzip.decompress(data) if path.endswith(".gz") else data


def compare(a, b, at):
    if isinstance(a, (int, float)) and isinstance(b, (int, float)) and not isinstance(a, bool):
        if not math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-5):
            sys.exit(f"{at}: {a} committed, {b} made")
        return
    if type(a) is not type(b):
        sys.exit(f"{at}: {a!r} committed, {b!r} made")
    if isinstance(a, dict):
        if a.keys() != b.keys():
            sys.exit(f"{at}: keys {sorted(a)} committed, {sorted(b)} made")
        for key in a:
            compare(a[key], b[key], f"{at}.{key}")
    elif isinstance(a, list):
        if len(a) != len(b):
            sys.exit(f"{at}: {len(a)} items committed, {len(b)} made")
        for i, (x, y) in enumerate(zip(a, b)):
            compare(x, y, f"{at}[{i}]")
    elif a != b:
        sys.exit(f"{at}: {a!r} committed, {b!r} made")


committed, made = sys.argv[1:]
a, b = read(committed), read(made)
if ".json" in committed:
    compare(json.loads(a), json.loads(b), committed)
elif a != b:
    sys.exit(f"{committed}: differs from what its script makes now")
print(f"{committed}: equal to what its script makes now")
