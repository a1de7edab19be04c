package judge

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// seeds are answers to begin with.
var seeds = []string{"", "18", "The answer is **(B) Paris**.", `\boxed{\frac{3}{4}}`, `{"reasoning": "x", "answer": "B"}`, "#### 1,234.5", "-½", "1.5 × 10^{10}",
	"1e999999", "<think>x", "```json\n{\"a\": 1}\n```", `\boxed{`, "答案是 B。", "3/0", "between 3 and 5", "$1.2M", "twenty-one", "\xff\xfe", `\frac{`, "{,}", "0.", ".5", "5 to", "\ue000\ue001"}

func FuzzFinalTexts(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		for _, final := range finalTexts(answer) {
			if final == "" || utf8.ValidString(answer) && !utf8.ValidString(final) {
				t.Errorf("final text %q of %q", final, answer)
			}
		}
		if n := normal(answer); utf8.ValidString(answer) && normal(n) != n && normal(normal(n)) != normal(n) {
			t.Errorf("the normal text of %q changes: %q, %q", answer, n, normal(n))
		}
	})
}

func FuzzFinalNumber(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		n, why, ok := finalNumber(answer)
		if !ok {
			if why == "" {
				t.Errorf("no number in %q, without a reason", answer)
			}
			return
		}
		if again, _, ok := finalNumber(n.String()); !ok || again.value.Cmp(n.value) != 0 {
			t.Errorf("%q is %s, which is read as %v", answer, n, again)
		}
	})
}

func FuzzFinalLetter(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, "A) Paris\nB) London")
	}
	f.Fuzz(func(t *testing.T, answer, prompt string) {
		options := optionsOf(prompt)
		letter := finalLetter(answer, options)
		if letter != "" && (len(letter) != 1 || letter[0] < 'A' || letter[0] > last(options)) {
			t.Errorf("letter %q of %q among %q", letter, answer, options)
		}
	})
}

func FuzzFindJSON(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		raw, ok := findJSON(answer)
		if !ok {
			return
		}
		v, err := decodeJSON(raw)
		if err != nil {
			t.Fatalf("%q was found in %q: %v", raw, answer, err)
		}
		text := canonical(v)
		again, err := decodeJSON([]byte(text))
		if !json.Valid([]byte(text)) || err != nil || canonical(again) != text {
			t.Errorf("%q in one form: %s", raw, text)
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, s := range append(seeds, "Score: 7", "Score: 7/10", "Verdict: A", `{"score": 3}`, "[[tie]]") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		if score, err := parseScore(reply, 10); err == nil && !(score >= 0 && score <= 1) {
			t.Errorf("score %v of %q", score, reply)
		}
		if score, err := parseWinner(reply, true); err == nil && score != 0 && score != 0.5 && score != 1 {
			t.Errorf("score %v of %q", score, reply)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("---\nscale: 10\n---\n{{answer}}", false)
	f.Add("{{first}} {{second}}", true)
	f.Add("---\n---\n", false)
	f.Fuzz(func(t *testing.T, text string, pairwise bool) {
		if tmpl, err := parseTemplate("p.md", []byte(text), pairwise); err == nil && (tmpl.body == "" || tmpl.Scale != 1 && tmpl.Scale != 10) {
			t.Errorf("%q: %+v", text, tmpl)
		}
	})
}
