"""Writes o200k_reference.json: texts with the numbers of their tokens by OpenAI's tiktoken.

    python3 o200k_reference.py o200k.gz

The vocabulary is the embedded one. Its hash in OpenAI's own form, which tiktoken knows,
shows that it is theirs.
"""

import base64
import gzip
import hashlib
import inspect
import json
import random
import sys

import tiktoken
from tiktoken_ext import openai_public

data = gzip.open(sys.argv[1]).read()
size = 199998
ranks, at = {}, size
for rank in range(size):
    ranks[data[at : at + data[rank]]] = rank
    at += data[rank]
assert at == len(data)

published = b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())
assert hashlib.sha256(published).hexdigest() in inspect.getsource(openai_public.o200k_base)

openai_public.load_tiktoken_bpe = lambda *_, **__: ranks
settings = openai_public.o200k_base()
# The difference that the comment of piece in tokens.go explains.
assert settings["pat_str"].count(r"|\s*[\r\n]+|") == 1
settings["pat_str"] = settings["pat_str"].replace(r"|\s*[\r\n]+|", r"|\s*?[\r\n]+|")
encoding = tiktoken.Encoding(**settings)

PARTS = [
    "a", "b", "Word", "WORD", "x", "7", "42", "12345", " ", "  ", "\t", "\n", "\r\n", "\n\n", "\x0b", "\x7f", ".", ",", "(", "/", "//", "'", "'s", "'LL", "'re", "'x", "-", "$", "\0", "_",
    "é", "É", "你", "文字", "\u0301", "🥕", "\u017f", "\u212a", "\u00a0", "\u2028", "\u0085", "\u3000", "\u200b", "ǅ", "ʰ", "ª", "²", "٣", "Ⅷ", "Ж", "ж", "ไทย", "हिन्दी", "한국어", "\ufffd",
]
draw = random.Random(17)
texts = [
    "Hello, world! It's 12345 o'clock.", "HELLOworld'LL x'Re 'm", "func f(x int) { return x/2 } // ok\n\n", "naïve café", "/path//to/\n/x",
    "Ein Radfahrer fährt um 8 Uhr über die Brücke.", "一名骑自行车的人早上八点从甲镇出发。", "Здравствуй, мир!", "مرحبا بالعالم", "नमस्ते दुनिया",
]
texts += ["".join(draw.choice(PARTS) for _ in range(draw.randrange(12))) for _ in range(2000)]
texts += ["".join(draw.choice("etaoinETAOI漢字éя-=") for _ in range(draw.randrange(200))) for _ in range(200)]
texts += ["".join(chr(draw.randrange(0x3400)) for _ in range(draw.randrange(6))) for _ in range(1000)]
with open("o200k_reference.json", "w") as file:
    json.dump([[text, len(encoding.encode_ordinary(text))] for text in texts], file, ensure_ascii=True, separators=(",", ":"))
