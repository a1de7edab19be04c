"""Makes tables in the form of RouterBench with the installed pandas: the same four
rows in every file, as pickles of every protocol and memory layout, Parquet and
CSV.

    python routerbench_reference.py [FOLDER]

The committed files of FOLDER (routerbench beside this script) are from pandas
1.1.5 with Python 3.8 (protocols 4 and 5, and other), 1.5.3 with numpy 1.26,
2.2.3 with numpy 2, and 3.1.1 (protocol 5); Parquet and CSV from 2.2.3. The test
TestRouterBenchReference reads them and the files of CARROT_ROUTERBENCH_DIR.
"""

import os
import pickle
import sys

import numpy as np
import pandas as pd

folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "routerbench")
os.makedirs(folder, exist_ok=True)
major, minor = pd.__version__.split(".")[:2]

nan = float("nan")
prompts = [
    "['What is 2 + 3?', 'Show your work.']",
    'Two lines,\nand "quotes"\tand a tab',
    "Größe: ∑ x², 😀, \\u0041 \\ end",
    "Reverse the word carrot, letter by letter. " * 12 + "é",
]
frame = pd.DataFrame({
    "sample_id": ["sums.0", "sums.1", "words.0", "words.1"],
    "prompt": prompts,
    "eval_name": ["sums", "sums", "words", "words"],
    "acme/large-v1": [1.0, 0.25, nan, 0.0],
    "acme/small": [0.5, nan, 1.0, 0.0],
    "tiny": [True, False, True, False],
    "acme/large-v1|model_response": ["5", None, "torrac", "r, then o\n" * 60],
    "acme/small|model_response": ["5", "6", "", "x"],
    "tiny|model_response": ["five", "six", "seven", "eight"],
    "acme/large-v1|total_cost": [0.00125, 0.002, nan, 0.0031],
    "acme/small|total_cost": [1e-05, nan, 2e-05, 3e-05],
    "tiny|total_cost": [0, 0, 1, 0],
    "oracle_model_to_route_to": ["acme/large-v1", "no_model_correct", "acme/small", None],
})


def write(name, table, protocol):
    with open(os.path.join(folder, f"pandas{major}.{minor}-{name}.pkl"), "wb") as file:
        pickle.dump(table, file, protocol=protocol)


def objects():
    """All columns hold objects: numpy's numbers, numpy's texts, and None."""
    table = frame.astype(object).where(frame.notna(), None)
    table["acme/large-v1"] = np.array([np.float64(1), np.float32(0.25), None, np.int64(0)], dtype=object)
    table["tiny"] = np.array([np.bool_(True), np.bool_(False), 1, 0], dtype=object)
    table["eval_name"] = np.array([np.str_("sums"), np.str_("sums"), "words", "words"], dtype=object)
    return table


def scattered():
    """Rows taken from a longer frame, so that the index holds numbers, and each
    column is a block of its own; texts as StringDtype."""
    longer = pd.concat([frame, frame]).reset_index(drop=True)
    table = longer.loc[[4, 1, 6, 3]]
    for column in ["prompt", "eval_name"]:
        values = table[column].astype("string")
        del table[column]
        table[column] = values
    return table


def indexed():
    """sample_id as the index; the scores from one array of float32 in the order
    of C, the costs from one in the order of Fortran."""
    scores = np.array(frame[["acme/large-v1", "acme/small", "tiny"]].astype(np.float32), order="C")
    costs = np.array(frame[[c for c in frame if c.endswith("|total_cost")]].astype(float), order="F")
    table = pd.concat([
        frame[["prompt", "eval_name"]],
        pd.DataFrame(scores, columns=["acme/large-v1", "acme/small", "tiny"], copy=False),
        pd.DataFrame(costs, columns=[c for c in frame if c.endswith("|total_cost")], copy=False),
    ], axis=1)
    table.index = pd.Index(frame["sample_id"], name="sample_id")
    return table


def other():
    """Columns that cannot be read, beside those that can: they do no harm."""
    table = frame.copy()
    table["list"] = pd.Series([[1], (2, {"a": b"b"}), 10**30, 1.5])
    table["complex"] = np.array([1j, 2, 3, 4])
    table["big"] = np.array([1, 2, 3, 2**63], dtype=np.uint64)
    return table


if major == "3":
    write("protocol5", frame, 5)
    sys.exit()
for protocol in range(6) if major != "1" or minor != "1" else [4, 5]:
    write(f"protocol{protocol}", frame, protocol)
write("other", other(), 4)
if minor == "1":
    sys.exit()
for protocol in [2, 5]:
    write(f"objects{protocol}", objects(), protocol)
    write(f"scattered{protocol}", scattered(), protocol)
    write(f"indexed{protocol}", indexed(), protocol)
if major == "2":
    frame.astype({"eval_name": "category"}).to_pickle(os.path.join(folder, "categories.pkl"), protocol=4)
    frame.to_csv(os.path.join(folder, "table.csv.gz"), index=False, compression={"method": "gzip", "mtime": 0})
    try:
        frame.to_parquet(os.path.join(folder, "table.parquet"))
    except ImportError:
        pass  # pyarrow is not installed
