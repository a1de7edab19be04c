#!/usr/bin/env python3
"""Writes reference.json.gz, which the Go tokenizer is tested against.

    python3 reference.py

The file holds small tokenizers with various settings, texts generated here, and
the ids that the tokenizers package assigns. "classes" holds the ids of the text
"a" + c + "b" for every code point c, as runs: [first code point, last code
point, ids].
"""

import gzip
import io
import itertools
import json
import os
import random

from tokenizers import Tokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARS = "".join(map(chr, range(0x21, 0x7f))) + "àéîõüÿçñßøłŵơıßαβγάςσабвѐёй中国漢字的あがアガ한글한าำकक़ि्\u0307\u0301\u200d\u00ad…“”؟،。！"
PIECES = ["the", "hello", "hel", "##lo", "##ing", "##tion", "un", "##aff", "##able", "résumé", "resume", "İstanbul",
          "istanbul", "straße", "na", "##ïve", "HELLO", "Hello"]


def vocabulary():
    tokens = list(SPECIALS)
    for c in CHARS:
        tokens += [c, "##" + c]
    tokens += PIECES
    return {t: i for i, t in enumerate(dict.fromkeys(tokens))}


def tokenizer(added=(), post="template", model=None, **normalizer):
    vocab = vocabulary()
    tokens = [dict(content=s, special=True, normalized=False) for s in SPECIALS] + list(added)
    n = len(vocab)
    for i, t in enumerate(tokens):
        id_ = vocab.get(t["content"])
        if id_ is None:
            id_, n = n, n + 1
        tokens[i] = {"id": id_, "single_word": False, "lstrip": False, "rstrip": False, "normalized": True,
                     "special": False, **t}
    norm = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
            "lowercase": True, **normalizer}
    posts = {
        "template": {"type": "TemplateProcessing",
                     "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
                     "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                     "special_tokens": {s: {"id": s, "ids": [vocab[s]], "tokens": [s]} for s in ("[CLS]", "[SEP]")}},
        "bert": {"type": "BertProcessing", "sep": ["[SEP]", vocab["[SEP]"]], "cls": ["[CLS]", vocab["[CLS]"]]},
        None: None,
    }
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens,
        "normalizer": norm if normalizer.get("type", "") is not None else None,
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": posts[post],
        "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab, **(model or {})},
    }


RULES = [
    {"content": "<ent>", "special": True, "normalized": False, "lstrip": True},
    {"content": "<end>", "special": True, "normalized": False, "rstrip": True},
    {"content": "one", "normalized": False, "single_word": True},
    {"content": "Ünit", "normalized": True},
    {"content": "new york", "normalized": True, "single_word": True, "rstrip": True},
    {"content": "<en", "normalized": False},
]
CASES = {
    "uncased": tokenizer(),
    "cased": tokenizer(lowercase=False, post="bert"),
    "lower, accents kept": tokenizer(strip_accents=False),
    "cased, accents stripped": tokenizer(strip_accents=True, lowercase=False),
    "not cleaned": tokenizer(clean_text=False),
    "ideographs joined": tokenizer(handle_chinese_chars=False, post=None),
    "no normalizer": tokenizer(type=None),
    "added tokens": tokenizer(added=RULES),
    "added tokens, cased": tokenizer(added=RULES, lowercase=False),
    "short words": tokenizer(model={"max_input_chars_per_word": 5}),
}
BITS = SPECIALS + PIECES + ["<ent>", "<end>", "one", "none", "one-two", "Ünit", "ünit", "unit", "New  York", "new york",
                            "New York", "[", "]", "[SEP", "<en", "<", ">", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "\u2028",
                            "\u0000", "\u0085", "\ufffd", "\u200b", "\u0301", "\u0327", "\u302e", "\u302f", "\u05b0", "İ",
                            "K", "ſ", "ß", "ẞ", "ﬁ", "각", "한", "中", "豈", "が", "ｶﾞ", "!", "?!", "...", "’", "$", "^", "`",
                            "a" * 99, "b" * 5, "é" * 6, "12", "3.4"]
RANGES = [(0x20, 0x7f)] * 4 + [(0, 0x20), (0x80, 0x250), (0x300, 0x370), (0x370, 0x600), (0x600, 0xe00), (0xe00, 0x1200),
                               (0x1e00, 0x2100), (0x3000, 0x3400), (0x4e00, 0x4f00), (0xac00, 0xd7a4), (0xf900, 0x10000),
                               (0x1f300, 0x1f700)]


def texts():
    r = random.Random(20)
    yield ""
    yield " "
    for bit in BITS:
        yield bit
    for _ in range(220):
        yield "".join(r.choice(BITS) if r.random() < 0.7 else chr(r.randrange(*r.choice(RANGES)))
                      for _ in range(r.randrange(1, 20)))


def classes(t):
    def ids():
        for c in range(0x110000):
            if not 0xd800 <= c < 0xe000:
                yield c, tuple(t.encode("a" + chr(c) + "b", add_special_tokens=False).ids)
    for key, run in itertools.groupby(ids(), lambda x: x[1]):
        run = list(run)
        yield [run[0][0], run[-1][0], list(key)]


def main():
    out = {"cases": [], "classes": list(classes(Tokenizer.from_str(json.dumps(CASES["uncased"]))))}
    for name, file in CASES.items():
        t = Tokenizer.from_str(json.dumps(file))
        rows = [{"text": s, "ids": t.encode(s).ids} for s in texts()]
        out["cases"].append({"name": name, "tokenizer": file, "rows": rows})
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, compresslevel=9) as f:
        f.write(json.dumps(out, separators=(",", ":")).encode())
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference.json.gz")
    with open(path, "wb") as f:
        f.write(raw.getvalue())
    print(sum(len(c["rows"]) for c in out["cases"]), "rows,", len(out["classes"]), "runs,", len(raw.getvalue()), "bytes")


if __name__ == "__main__":
    main()
