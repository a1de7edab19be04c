"""Writes o200k.gz, the vocabulary in the form that is embedded: the lengths of all tokens
by rank, a byte each, then their texts.

    python3 o200k.py o200k_base.tiktoken ../o200k.gz

The first file is OpenAI's, which tiktoken downloads.
"""

import base64
import gzip
import sys

tokens = [base64.b64decode(line.split()[0]) for line in open(sys.argv[1], "rb")]
with open(sys.argv[2], "wb") as file:
    file.write(gzip.compress(bytes(map(len, tokens)) + b"".join(tokens), 9, mtime=0))
