#!/usr/bin/env python3
"""Decides as carrot route does, from a saved router alone.

    carrot route --json PROMPT > decision.json
    python3 decide.py artifact/default.safetensors embed/static.safetensors decision.json PROMPT

It reads the router and the static table (docs/formats.md), embeds the prompt,
predicts, prices and chooses in numpy, and compares the result with the decision.
Input tokens, which carrot counts with the o200k encoding, are taken from the
decision. The router must be a blend of kernel and sparse on the static table.

Needs numpy and tokenizers.
"""

import hashlib
import json
import math
import re
import struct
import sys
import unicodedata

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

MASK = 2**64 - 1
FIRST_PAIR = 1 << 31
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I32": "<i4", "U32": "<u4", "U16": "<u2", "I8": "<i1", "U8": "<u1"}


def read(path):
    """Reads a safetensors file: the manifest, the tensors and the file's bytes."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:start])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        tensor = np.frombuffer(data[start + begin:start + end], DTYPES[t["dtype"]]).reshape(t["shape"])
        tensors[name] = tensor.astype("<f4") if t["dtype"] == "F16" else tensor  # half saves space; sums need more digits
    if "sha256" in metadata:
        said = b'"sha256":"%s"' % metadata["sha256"].encode()
        blank = data.replace(said, b'"sha256":"%s"' % (b"0" * 64), 1)
        assert hashlib.sha256(blank).hexdigest() == metadata["sha256"], f"{path} is damaged"
    return json.loads(metadata["carrot"]), tensors, data


# Representation


def tokenizer(vocab, config):
    """The WordPiece tokenizer of the table, as the tokenizers package has it."""
    assert not any(config.get(key) for key in ("keep_case", "strip_accents", "keep_control", "join_cjk"))
    t = Tokenizer(models.WordPiece({token: i for i, token in enumerate(vocab)}, unk_token=config["unknown"],
                                   continuing_subword_prefix=config["prefix"],
                                   max_input_chars_per_word=config["max_word_chars"]))
    t.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.add_special_tokens([added["text"] for added in config["added"]])
    return t


def dense(text, manifest, table):
    """The weighted mean of the vectors of the text's tokens, at unit length."""
    vocab = table["vocab"].tobytes().decode().split("\n")
    ids = tokenizer(vocab, manifest["wordpiece"]).encode(text, add_special_tokens=False).ids
    x = (table["scale"][ids, None] * table["vectors"][ids].astype(np.float32)).sum(axis=0, dtype=np.float64)
    length = np.linalg.norm(x)
    return x / length if length else x


def finish(h):
    h ^= h >> 33
    h = h * 0xFF51AFD7ED558CCD & MASK
    h ^= h >> 33
    return h & 0xFFFFFFFF


def word_hash(word):
    h = 14695981039346656037
    for char in word:
        h = (h ^ ord(char)) * 1099511628211 & MASK
    return h


UNSPACED = re.compile("^(CJK|HIRAGANA|KATAKANA|THAI|LAO|KHMER|MYANMAR)")


def split(text):
    """The words in lower case. Each letter of a script without spaces is one."""
    words, word = [], ""
    for char in text + " ":
        inside = char == "_" or unicodedata.category(char)[0] in "LMN"
        if inside and ord(char) >= 0x0E00 and UNSPACED.match(unicodedata.name(char, "")):
            words += [word, char]
            word = ""
        elif inside:
            word += char.lower()[0]
        else:
            words.append(word)
            word = ""
    return [word for word in words if word]


def grams(text):
    """The hashes of the runs of four characters of each word with a space before and after."""
    found = set()
    for word in split(text):
        word = f" {word} "
        for at in range(max(len(word) - 3, 1)):
            run = 0
            for char in word[at:at + 4]:
                run = run << 16 | ord(char) & 0xFFFF
            found.add(run * 0x9E3779B97F4A7C15 >> 32 & 0xFFFFFFFF)
    return found


def sparse(text):
    """The hashes of the words and pairs of neighbouring words, with 1 + ln(count)."""
    words = [word_hash(word) for word in split(text)]
    counts = {}
    for k, word in enumerate(words):
        keys = [finish(word) & ~FIRST_PAIR]
        if k > 0:
            keys.append(finish(((words[k - 1] ^ word >> 1) * 1099511628211 + word) & MASK) | FIRST_PAIR)
        for key in keys:
            counts[key] = counts.get(key, 0) + 1
    return {key: 1 + math.log(n) for key, n in sorted(counts.items())}


# Prediction


def kernel(x, t, prefix):
    """The raw outputs of kernel ridge, and the relative variance of each model."""
    gamma, noise = t[prefix + "settings"][:2]
    k = np.exp(2 * gamma * (t[prefix + "landmarks"] @ x - 1))
    raw = t[prefix + "mean"] + k @ t[prefix + "weights"]
    spread = t[prefix + "spread"]
    projected = spread @ k[:spread.shape[1]]
    variance = np.maximum(1 - (projected**2).sum(axis=1), 1e-4) / noise
    return raw, variance[t[prefix + "class"]]


def ridge_on_words(bag, t, prefix):
    """The same of ridge regression on the hashed words."""
    idf, alpha = t[prefix + "idf"], t[prefix + "alpha"][0]
    bucket = np.array([key % len(idf) for key in bag], int)
    v = np.array(list(bag.values())) * idf[bucket]
    if not v.any():
        return t[prefix + "mean"], np.full(len(t[prefix + "class"]), 1 / alpha)
    v /= np.linalg.norm(v)
    raw = t[prefix + "mean"] + v @ t[prefix + "weights"][bucket]
    variance = (v**2 / (t[prefix + "seen"][:, bucket] + alpha)).sum(axis=1)
    return raw, variance[t[prefix + "class"]]


def nearest_by_grams(seen, t):
    """The similarity to the most similar training query, by which grams they have."""
    n = int(t["novelty.settings"][1])
    key, start, row = (t["novelty." + name] for name in ("gram", "gram.start", "gram.row"))
    often = np.unpackbits(t["novelty.gram.often"].view(np.uint8), axis=1, bitorder="little")
    rare = np.diff(start) > 0
    df = np.diff(start)
    df[~rare] = often[:, :(~rare).sum()].sum(axis=0)
    weight = np.log((n + 1) / (df + 1))**2
    owner = np.repeat(np.arange(len(key)), np.diff(start))
    length = np.sqrt(np.bincount(row, weight[owner], n) + often[:, :(~rare).sum()] @ weight[~rare])
    has = np.isin(key, list(seen))
    if not has.any():
        return 0.0
    total = weight[has].sum()
    if not total:  # what was seen of it is in every training query
        return 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        by_rare = np.nan_to_num(np.bincount(row, (weight * has)[owner], n) / length)
        by_often = np.nan_to_num(often[:, :(~rare).sum()] @ (weight * has)[~rare] / length)
    few = np.argsort(-by_rare, kind="stable")[:8]  # compared exactly, unless rare grams say too little
    by, others = weight[has & rare].sum(), weight[has & ~rare].sum()
    if by < others and often.size <= 2**22 or 4 * by < others:
        few = np.arange(n)
    similarity = (by_rare + by_often)[few].max() / math.sqrt(total)
    return 1.0 if similarity > 0.99999 else similarity


def novelty(bag, seen, t):
    """The share of training queries that were less novel when they were held out, and
    how far a forecast is trusted."""
    limit, n, near = (*t["novelty.settings"], 0)[:3]  # near: not in files of former versions
    place = {int(key): k for k, key in enumerate(t["novelty.key"])}
    words = {key: v for key, v in bag.items() if key < FIRST_PAIR}
    if not any(key in place for key in words):
        return 1.0, 0.0
    nearest = nearest_by_grams(seen, t) if "novelty.gram" in t else nearest_by_words(words, place, n, near, t)
    if near:
        known = sum(v for key, v in words.items() if key in place) / sum(words.values())
        nearest *= min(1, known / 0.5)**4
    distance = np.float32(1 - nearest)
    share = np.searchsorted(t["novelty.quantile"], distance) / len(t["novelty.quantile"])
    if not near:
        return share, float(share <= limit)
    x = min(max(2 * (1 - float(distance)) / near - 1, 0), 1)
    return share, x * x * (3 - 2 * x)


def nearest_by_words(words, place, n, near, t):
    """The same by words, in files of former versions."""
    idf, start, row, value = (t["novelty." + name] for name in ("idf", "start", "row", "value"))
    weight = {key: v * (idf[place[key]] if key in place else 0 if near else math.log(n + 1)) for key, v in words.items()}
    length = math.sqrt(sum(w * w for w in weight.values())) or math.inf
    similarity, common = np.zeros(int(n)), 0.0
    for key, w in weight.items():
        if key in place:
            postings = slice(start[place[key]], start[place[key] + 1])
            similarity[row[postings]] += w / length * value[postings]
            if postings.start == postings.stop:
                common += (w / length)**2
    return 1 if length == math.inf else min(similarity.max() + common, 1)


def forecasts(raw, variance, trust, t):
    """Quality, its standard error and noise, output tokens and their 90% quantile."""
    m = len(t["head.calibration"])
    mean, base, spread, noise, few, direct, a, b, limit, volume = t["head.calibration"].T[:10]
    at, ratio = t["head.calibration"][:, 10:13], t["head.calibration"][:, 13:16]
    assert not direct.any() and (b != 0).all(), "this example prices tokens"
    difference, length, common = raw[:m], raw[m:2 * m], raw[2 * m]
    quality = np.clip(base + t["head.caution"][0] * few * (difference - base) + common, 0, 1)
    tokens = np.clip(np.expm1(a + b * length), 0, limit)
    factor = np.array([np.interp(length[j], at[j], ratio[j]) for j in range(m)])
    p90 = np.clip((tokens + 1) * factor - 1, 0, limit)
    between = t.get("head.between", 0)
    se = np.sqrt(trust * spread**2 * variance + (1 - trust) * between + trust * (1 - trust) * (quality - mean)**2)
    quality, tokens = mean + trust * (quality - mean), volume + trust * (tokens - volume)
    farthest = np.maximum(volume, volume * ratio.max(axis=1))
    p90 = farthest + trust * (p90 - farthest)
    held = np.clip(quality, 0.05, 0.95)
    out = {"quality_se": se, "quality_noise": np.sqrt(noise * held * (1 - held))}
    if "head.correction" in t:  # carrot.router/2: learnt from traffic after the fit
        shift, factor = t["head.correction"].T
        quality, tokens, p90 = np.clip(quality + shift, 0, 1), tokens * factor, p90 * factor
    return {"quality": quality, **out, "output_tokens": tokens, "output_tokens_p90": p90}


# Decision


def willing_to_pay(manifest, share=0.97):
    """What the objective balanced resolves to: the willingness to pay of the cheapest
    point of the stored frontier that reaches a share of the best single's quality."""
    enough = [p for p in manifest["frontier"] if p["quality"] >= share * manifest["best_single"]["quality"]]
    if not enough:
        return math.inf
    best = min(enough, key=lambda p: (p["cost_usd"], -p["quality"]))
    return math.inf if best["usd_per_quality"] is None else best["usd_per_quality"]


def decide(manifest, tensors, x, bag, seen, input_tokens):
    assert manifest["predictor"]["name"] == "blend" and manifest["predictor"]["parts"] == "kernel+sparse"
    parts = [kernel(x, tensors, "blend.kernel."), ridge_on_words(bag, tensors, "blend.sparse.")]
    raw, variance = (np.mean([part[k] for part in parts], axis=0) for k in (0, 1))
    share, trust = novelty(bag, seen, tensors)
    f = {key: np.round(v, 9) for key, v in forecasts(raw, variance, trust, tensors).items()}
    prices = [model["price"] for model in manifest["models"]]
    rate = {kind: np.array([round(price[kind] * 1e6) for price in prices]) for kind in ("input", "output")}  # pico-dollars a token
    for quantile in ("", "_p90"):
        f["cost_usd" + quantile] = (rate["input"] * input_tokens + np.round(rate["output"] * f["output_tokens" + quantile])) / 1e12
    w = willing_to_pay(manifest)
    f["utility"] = f["quality"] - f["cost_usd"] / w
    order = np.lexsort((f["cost_usd"], -f["utility"]))  # ties: the lower cost, then the order of the models
    names = [manifest["models"][j]["name"] for j in order]
    return {"model": names[0], "fallback": names[1:], "usd_per_quality": w, "novelty": share, "abstained": bool(trust < 0.05), "forecasts": f}


def main():
    router_path, table_path, decision_path, prompt = sys.argv[1:]
    manifest, tensors, _ = read(router_path)
    static, table, data = read(table_path)
    assert manifest["embedder"]["id"] == "static@" + hashlib.sha256(data).hexdigest()[:12], "another static table"
    with open(decision_path, encoding="utf-8") as file:
        want = json.load(file)
    got = decide(manifest, tensors, dense(prompt, static, table), sparse(prompt), grams(prompt), want["candidates"][0]["input_tokens"])
    worst = 0.0
    for key, values in got["forecasts"].items():
        for name, a, b in zip(manifest["models"], values, (c[key] for c in want["candidates"])):
            difference = abs(a - b) / max(1, abs(b))
            worst = max(worst, difference)
            if difference > 1e-5:
                sys.exit(f"{name['name']}: {key} {a}, carrot says {b}")
    for key in ("model", "fallback", "abstained", "novelty", "usd_per_quality"):
        if got[key] != want[key]:
            sys.exit(f"{key}: {got[key]}, carrot says {want[key]}")
    print(f"{got['model']}: {len(want['candidates'])} models, {len(got['forecasts'])} numbers each, at most {worst:.1g} apart")


if __name__ == "__main__":
    main()
