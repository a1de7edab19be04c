package judge

import (
	"testing"
)

// scored is a hand-made case: an answer as models write them, and what a person would
// say of it.
type scored struct {
	reference, answer string
	score             float64
	final             string
}

func judgeAll(t *testing.T, c Config, item Item, cases []scored) {
	t.Helper()
	j, err := New(c, Options{Dir: "testdata"})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range cases {
		item.Reference, item.Answer = one.reference, one.answer
		v, err := j.Judge(t.Context(), item)
		if err != nil {
			t.Errorf("%q for %q: %v", one.answer, one.reference, err)
			continue
		}
		if v.Score != one.score || v.Final != one.final {
			t.Errorf("%q for %q: score %v, final %q (%s), want %v, %q", one.answer, one.reference, v.Score, v.Final, v.Note, one.score, one.final)
		}
		if v.Note == "" {
			t.Errorf("%q for %q: no note", one.answer, one.reference)
		}
	}
}

func TestNumberCases(t *testing.T) {
	judgeAll(t, Config{Kind: "number"}, Item{}, []scored{
		// plain
		{"18", "18", 1, "18"},
		{"18", "18.0", 1, "18"},
		{"18", "The answer is 18.", 1, "18"},
		{"18", "The answer is 19.", 0, "19"},
		{"18", "#### 18", 1, "18"},
		{"18", "She sells 16 - 3 - 4 = 9 eggs.\nShe makes 9 * 2 = $18 every day.\n#### 18", 1, "18"},
		{"#### 18", "She makes **$18** every day for 7 days.", 1, "18"},
		{"He needs 5 + 13 = <<5+13=18>>18 cups.\n#### 18", "18 cups", 1, "18"},
		{"18", "Janet makes $18 per day at the market.", 1, "18"},
		{"18", "Let me compute: 16-3-4=9, 9*2=18", 1, "18"},
		{"18", "I do not know.", 0, ""},
		{"18", "", 0, ""},
		{"18", "The final answer is: $\\boxed{18}$", 1, "18"},
		{"18", "**Answer:** 18", 1, "18"},
		{"18", "**Answer**: 18 eggs", 1, "18"},
		{"18", "### Final Answer\n\n18", 1, "18"},
		{"18", "Final Answer: The final answer is $18$. I hope it is correct.", 1, "18"},
		{"18", "The answer to this question is therefore 18, because 9 * 2 = 18.", 1, "18"},
		{"18", "The answer is not 17. The answer is 18.", 1, "18"},
		{"18", "The answer is 17. Wait, I made a mistake. The answer is 18.", 1, "18"},
		{"17", "The answer is 17. Wait, I made a mistake. The answer is 18.", 0, "18"},
		{"18", "<think>Is it 17? Perhaps 20.</think>\n18", 1, "18"},
		{"18", "<think>Is it 18? Let me", 0, ""},
		{"18", "<answer>18</answer>", 1, "18"},
		// JSON
		{"18", `{"reasoning": "9 eggs at 2 dollars", "answer": 18}`, 1, "18"},
		{"18", `{"reasoning": "9 eggs at 2 dollars", "answer": "$18"}`, 1, "18"},
		{"18", "```json\n{\"answer\": \"18\"}\n```", 1, "18"},
		{"18", `{"reasoning": "9 eggs", "answer": "18`, 1, "18"},
		{"18", `{"answer": null, "reasoning": "18 is too many"}`, 0, ""},
		{"18", `{"answer": " ", "reasoning": "work it out: 18"}`, 0, ""},
		{"18", "```json\n{\"reasoning\": \"9 eggs at 2 dollars make 18", 0, ""},
		{"400", "```json\n{\"answer\": \"400\"}\n```\n\nThe final answer is that the 600 seniors drink 400 cartons.", 1, "400"},
		{"18", `{"answer": "___18___"}`, 1, "18"},
		{"8", `{"answer": "4√2 + 8"}`, 0, ""},
		{"3", `{"answer": "35 - 49*sqrt(3)"}`, 0, ""},
		{"2", `{"answer": "(p-1)(p-2)/2 (mod p)"}`, 0, ""},
		{"2", `{"answer": "-6 - 2a - 2b"}`, 0, ""},
		{"2", `{"answer": "50π/2"}`, 0, ""},
		{"5", `{"answer": "7-2+0 = 5"}`, 1, "5"},
		{"18", "The answer is 18 - that is what she makes.", 1, "18"},
		{"18", `Here is the result: {"steps": [1, 2], "final_answer": {"value": 18}}`, 1, "18"},
		// separators
		{"1234", "1,234", 1, "1234"},
		{"1234567.5", "The answer is 1,234,567.50.", 1, "1234567.5"},
		{"1234567", "1\u202f234\u00a0567", 1, "1234567"},
		{"1234567", "1'234'567", 1, "1234567"},
		{"1234567", "1.234.567", 1, "1234567"},
		{"1234.56", "1.234,56 €", 1, "1234.56"},
		{"3.5", "3,5", 1, "3.5"},
		{"1234567", "1_234_567", 1, "1234567"},
		{"1234567", "12,34,567", 1, "1234567"},
		{"1234", `\boxed{1{,}234}`, 1, "1234"},
		{"12345", `$\boxed{12\,345}$`, 1, "12345"},
		{"12345678901234567891", "12345678901234567890", 0, "12345678901234567890"},
		// fractions
		{"0.75", "3/4", 1, "0.75"},
		{"3/4", "0.75", 1, "0.75"},
		{"3/4", `The probability is $\frac{3}{4}$.`, 1, "0.75"},
		{"3/4", `\boxed{\dfrac{3}{4}}`, 1, "0.75"},
		{"3/4", `\boxed{\frac34}`, 1, "0.75"},
		{"-3/4", `\boxed{-\frac{3}{4}}`, 1, "-0.75"},
		{"1/3", "0.333", 0, "0.333"},
		{"1/3", "2/6", 1, "1/3"},
		{"1.5", "1 1/2", 1, "1.5"},
		{"1.5", "1½ cups", 1, "1.5"},
		{"0.5", "½", 1, "0.5"},
		{"1.5", `1\frac{1}{2}`, 1, "1.5"},
		{"3.25", "The answer is 3 and 1/4 miles.", 1, "3.25"},
		{"7", "It was on 12/25/2020 that he had 7.", 1, "7"},
		// percent
		{"50%", "50 percent", 1, "50"},
		{"50", "50%", 1, "50"},
		{"0.5", "50%", 1, "50"},
		{"50%", "0.5", 1, "0.5"},
		{"50", "0.5", 0, "0.5"},
		{"12.5", `\boxed{12.5\%}`, 1, "12.5"},
		// money and units
		{"18", "$18.00", 1, "18"},
		{"18", "$ 18", 1, "18"},
		{"18", `\$18`, 1, "18"},
		{"18", "18 USD", 1, "18"},
		{"18", "USD 18", 1, "18"},
		{"18", "US$18", 1, "18"},
		{"18", "Rs.18", 1, "18"},
		{"18", "€18,00", 1, "18"},
		{"5", "5 km/h", 1, "5"},
		{"5", `\boxed{5\text{ cm}^2}`, 1, "5"},
		{"5", "5 cm²", 1, "5"},
		{"45", `45^\circ`, 1, "45"},
		{"45", "45°", 1, "45"},
		{"90", "x = 90 miles", 1, "90"},
		{"120", "It takes 2 hours at 60 mph, so the distance is 120 miles.", 1, "120"},
		{"5", "5 apples in 3 days", 1, "5"},
		{"5000000", "5 million", 1, "5000000"},
		{"1200000", "$1.2M", 1, "1200000"},
		{"3000", "The answer is $3k.", 1, "3000"},
		// scientific
		{"1.5e10", "1.5 × 10^10", 1, "15000000000"},
		{"1.5e10", `1.5 \times 10^{10}`, 1, "15000000000"},
		{"15000000000", "1.5e10", 1, "15000000000"},
		{"6.02e23", "6.02 × 10²³", 1, "602000000000000000000000"},
		{"0.000001", "10^{-6}", 1, "0.000001"},
		{"1024", "2^10", 1, "1024"},
		{"1", "1e999999999", 0, ""},
		// signs
		{"-5", "-5", 1, "-5"},
		{"-5", "−5", 1, "-5"},
		{"-5", "The answer is −5.", 1, "-5"},
		{"-5", "minus 5", 1, "-5"},
		{"-5", "-$5", 1, "-5"},
		{"-5", "$-5$", 1, "-5"},
		{"-5", "x = - 5", 1, "-5"},
		{"5", "-5", 0, "-5"},
		{"6", "10 - 4 = 6", 1, "6"},
		{"5", "+5", 1, "5"},
		// approximately
		{"3.14", "approximately 3.14", 1, "3.14"},
		{"3.14", "≈ 3.14", 1, "3.14"},
		{"3.14", `\approx 3.14`, 1, "3.14"},
		{"3.14", "~3.14", 1, "3.14"},
		{"3.14", "22/7 ≈ 3.14", 1, "3.14"},
		{"5", "5 ± 0.1", 1, "5"},
		// what is not the number
		{"5", "The answer is 3-5.", 0, ""},
		{"5", "between 3 and 5", 0, ""},
		{"5", "3 to 5 apples", 0, ""},
		{"2", `\boxed{2\pi}`, 0, ""},
		{"2", "The answer is 2π.", 0, ""},
		{"3", `\boxed{2\sqrt{3}}`, 0, ""},
		{"2", "2x", 0, ""},
		{"3", `\boxed{3, -3}`, 0, ""},
		{"3", "x = 3 or x = -3", 0, "-3"},
		{"4", "GPT-4", 0, ""},
		{"2", "H2O", 0, ""},
		{"45", "3:45", 0, ""},
		{"2", "2:00 pm", 1, "2"},
		{"2", "2:00:30", 0, ""},
		{"1", `\boxed{192.168.0.1}`, 0, ""},
		{"5", `\boxed{x}`, 0, ""},
		// words
		{"5", "five", 1, "5"},
		{"21", "The answer is twenty-one.", 1, "21"},
		{"105", "one hundred and five", 1, "105"},
		{"3", "3rd", 1, "3"},
		// other scripts
		{"42", "答案是42。", 1, "42"},
		{"42", "答案：42", 1, "42"},
		{"42", "４２", 1, "42"},
		{"42", "٤٢", 1, "42"},
		{"42", "Die Antwort lautet 42.", 1, "42"},
		{"42", "La réponse est 42.", 1, "42"},
		{"42", "La respuesta es 42", 1, "42"},
		// several references
		{`["3", "-3"]`, "-3", 1, "-3"},
		{`[3, 4.0]`, "4", 1, "4"},
		{`[3, 4]`, "5", 0, "5"},
	})
}

func TestNumberTolerance(t *testing.T) {
	judgeAll(t, Config{Kind: "number", Tolerance: 0.01}, Item{}, []scored{
		{"100", "101", 1, "101"},
		{"100", "101.1", 0, "101.1"},
		{"-100", "-99", 1, "-99"},
		{"0", "0.001", 0, "0.001"},
		{"3.14159", "3.14", 1, "3.14"},
		{"1/3", "33.3%", 1, "33.3"},
	})
	judgeAll(t, Config{Kind: "number", AbsoluteTolerance: 0.5}, Item{}, []scored{
		{"0", "0.5", 1, "0.5"},
		{"0", "0.51", 0, "0.51"},
	})
}

func TestChoiceCases(t *testing.T) {
	capitals := Item{Choices: []string{"London", "Paris", "A city in Spain", "None of the above"}}
	judgeAll(t, Config{Kind: "choice"}, capitals, []scored{
		{"B", "B", 1, "B"},
		{"B", "b", 1, "B"},
		{"B", "(B)", 1, "B"},
		{"B", "B.", 1, "B"},
		{"B", "B)", 1, "B"},
		{"B", "**B**", 1, "B"},
		{"B", "[B]", 1, "B"},
		{"B", "Ｂ", 1, "B"},
		{"B", "B) Paris", 1, "B"},
		{"B", "B: Paris", 1, "B"},
		{"B", "B - Paris", 1, "B"},
		{"B", "Paris", 1, "B"},
		{"B", "paris.", 1, "B"},
		{"Paris", "B", 1, "B"},
		{"(B)", "The answer is (B).", 1, "B"},
		{"B", "The answer is B", 1, "B"},
		{"B", "The answer is **B**.", 1, "B"},
		{"B", "The answer is **(B) Paris**.", 1, "B"},
		{"B", "The correct answer is option B.", 1, "B"},
		{"B", "The correct option is B.", 1, "B"},
		{"B", "The best answer is B, because Paris is the capital of France and not of Spain.", 1, "B"},
		{"B", "The answer is Paris.", 1, "B"},
		{"B", "**Answer: B**", 1, "B"},
		{"B", "Answer:\n\nB", 1, "B"},
		{"B", "answer: b", 1, "B"},
		{"B", "Final Answer: B. Paris", 1, "B"},
		{"B", `\boxed{B}`, 1, "B"},
		{"B", `$\boxed{\text{B}}$`, 1, "B"},
		{"B", `\boxed{\text{(B) Paris}}`, 1, "B"},
		{"B", `\(\boxed{\mathrm{B}}\)`, 1, "B"},
		{"B", `{"reasoning": "France's capital is Paris.", "answer": "B"}`, 1, "B"},
		{"B", "```json\n{\"reasoning\": \"A is wrong\", \"answer\": \"B\"}\n```", 1, "B"},
		{"B", `{"reasoning": "A is in England", "answer": "B"`, 1, "B"},
		{"B", `{"answer": "Paris"}`, 1, "B"},
		{"B", `{"answer": "B) Paris"}`, 1, "B"},
		{"B", "<answer>B</answer>", 1, "B"},
		{"B", "<think>It could be A or C.</think>B", 1, "B"},
		{"B", "A is wrong, since London is in England. C is wrong too.\n\nTherefore, (B)", 1, "B"},
		{"B", "London is in England.\nSo the answer must be B", 1, "B"},
		{"B", "The answer is not A. The answer is B.", 1, "B"},
		{"B", "I first thought that the answer is A, but the answer is B.", 1, "B"},
		{"B", "The capital of France is Paris.", 1, "B"},
		{"B", "答案是 B。", 1, "B"},
		{"B", "答案：B", 1, "B"},
		{"A", "The answer is B.", 0, "B"},
		{"B", "C", 0, "C"},
		{"C", "The answer is a city in Spain.", 1, "C"},
		{"D", "None of the above", 1, "D"},
		{"B", "E", 0, ""},
		{"B", "Both A and B", 0, ""},
		{"B", "A and B", 0, ""},
		{"B", "The answer is A or B.", 0, ""},
		{"B", "The options are (A) and (B).", 0, ""},
		{"B", "The answer is (A,B).", 0, ""},
		{"A", "\\boxed{A, B}", 0, ""},
		{"B", "We get $\\boxed{10.50}$. So, the answer is B.", 1, "B"},
		{"B", "The answer is (B). The answer is (A) is incorrect, as London is in England.", 1, "B"},
		{"B", `{"reasoning": "Paris", "answer": null}`, 0, ""},
		{"A", "A good question. I cannot say.", 0, ""},
		{"A", "I think that nobody knows.", 0, ""},
		{"B", "", 0, ""},
		{`["A", "B"]`, "B", 1, "B"},
		{"A", `{"answer": 1}`, 0, ""},
		{"B", "It is Paris. The answer is (B).\n\nQuestion:\nWhere is Rome?\nAnswer: The answer is (A).", 1, "B"},
		{"B", "Question: What is the capital of France?\nAnswer: B", 1, "B"},
	})
	listed := Item{Prompt: "Which is prime?\nA) 4\nB) 6\nC) 7\nD) 9"}
	judgeAll(t, Config{Kind: "choice"}, listed, []scored{
		{"C", "7", 1, "C"},
		{"C", "The answer is 7.", 1, "C"},
		{"C", `\boxed{7}`, 1, "C"},
		{"C", "A) 4\nB) 6\nC) 7\nD) 9\n\nOnly 7 has no other divisors, so **C**.", 1, "C"},
		{"7", "C.", 1, "C"},
		{"C", "H", 0, ""},
	})
	judgeAll(t, Config{Kind: "choice"}, Item{Prompt: "no options"}, []scored{
		{"J", "The answer is (J).", 1, "J"},
		{"H", "H", 1, "H"},
		{"H", "The correct answer is I.", 0, "I"},
	})
}

func TestMatchCases(t *testing.T) {
	judgeAll(t, Config{Kind: "match"}, Item{}, []scored{
		{"Paris", "Paris", 1, "paris"},
		{"Paris", "paris.", 1, "paris"},
		{"Paris", "  PARIS!  ", 1, "paris"},
		{"Paris", "**Paris**", 1, "paris"},
		{"Paris", "`Paris`", 1, "paris"},
		{"Paris", `"Paris"`, 1, "paris"},
		{"Paris", "“Paris”", 1, "paris"},
		{"Paris", "The answer is Paris.", 1, "paris"},
		{"Paris", "The answer is Paris, which is the capital of France.", 1, "paris"},
		{"Paris", "The answer is Paris (France).", 1, "paris"},
		{"Paris", "The capital of France is **Paris**.", 1, "paris"},
		{"Paris", "The answer is London. No: the answer is Paris.", 1, "paris"},
		{"London", "The answer is London. No: the answer is Paris.", 0, "paris"},
		{"Paris", "Let me think about it.\n\nParis", 1, "paris"},
		{"Paris", `{"answer": "Paris"}`, 1, "paris"},
		{"Paris", `\boxed{\text{Paris}}`, 1, "paris"},
		{"Paris", "<think>London?</think> Paris", 1, "paris"},
		{"Paris", "London", 0, "london"},
		{"Paris", "Not Paris", 0, "not paris"},
		{"Paris", "", 0, ""},
		{"yes", "Yes.", 1, "yes"},
		{"yes", "Yes. The answer is yes.", 1, "yes"},
		{"St. Louis", "The answer is St. Louis.", 1, "st louis"},
		{"U.S.", "US", 1, "us"},
		{"New York", "new  york", 1, "new york"},
		{"e-mail", "e mail", 1, "e mail"},
		{"café", "cafe\u0301", 1, "café"},
		{"ﬁne", "fine", 1, "fine"},
		{"Straße", "STRASSE", 1, "strasse"},
		{"C++", "C++", 1, "c++"},
		{"C", "C++", 0, "c++"},
		{"-5", "5", 0, "5"},
		{"3.5", "35", 0, "35"},
		{"1,000", "1000", 1, "1000"},
		{"1000", "The answer is 1,000.", 1, "1000"},
		{"5%", "5", 0, "5"},
		{"?", "?", 1, "?"},
		{"?", "!", 0, "!"},
		{"東京", "東京。", 1, "東京"},
		{"x^2+1", "$x^2+1$", 1, "x^2+1"},
		{`["Paris", "Lutetia"]`, "lutetia", 1, "lutetia"},
		{`["Paris"`, `["Paris"`, 1, "paris"},
	})
	judgeAll(t, Config{Kind: "match", Exact: true}, Item{}, []scored{
		{"Paris", "Paris", 1, "Paris"},
		{"Paris", " Paris\n", 1, "Paris"},
		{"Paris", "paris", 0, "paris"},
		{"Paris", "Paris.", 0, "Paris."},
	})
}

func TestRegexpCases(t *testing.T) {
	judgeAll(t, Config{Kind: "regexp", Pattern: `(?i)\bparis\b`}, Item{}, []scored{
		{"", "It is Paris.", 1, ""},
		{"", "It is Parish.", 0, ""},
		{"", "", 0, ""},
	})
	judgeAll(t, Config{Kind: "regexp", Pattern: `(?i)\b{{reference}}\b`}, Item{}, []scored{
		{"a.c", "it is A.C", 1, ""},
		{"a.c", "it is abc", 0, ""},
		{`["x", "y"]`, "it is y", 1, ""},
	})
	judgeAll(t, Config{Kind: "regexp", Pattern: `passed: (?P<score>[0-9.]+)(?: \((?P<answer>[^)]*)\))?`}, Item{}, []scored{
		{"", "passed: 0.25", 0.25, ""},
		{"", "passed: 0.25\npassed: 1 (All of them.)", 1, "all of them"},
		{"", "failed", 0, ""},
	})
}

func TestJSONCases(t *testing.T) {
	judgeAll(t, Config{Kind: "json"}, Item{}, []scored{
		{`{"a": 1, "b": [true, null]}`, `{"b":[true,null],"a":1}`, 1, `{"a":1,"b":[true,null]}`},
		{`{"a": 1}`, `{"a": 1.0}`, 1, `{"a":1}`},
		{`{"a": 100}`, `{"a": 1e2}`, 1, `{"a":100}`},
		{`{"a": 0.1}`, `{"a": 0.10}`, 1, `{"a":0.1}`},
		{`{"a": 1}`, `{"a": "1"}`, 0, `{"a":"1"}`},
		{`{"a": 1}`, `{"a": 1, "b": 2}`, 0, `{"a":1,"b":2}`},
		{`[1, 2]`, `[2, 1]`, 0, `[2,1]`},
		{`{"a": 1}`, "Here you are:\n```json\n{\"a\": 1}\n```\nI hope this helps.", 1, `{"a":1}`},
		{`{"a": 1}`, "Sure: {\"a\": 1} as you asked.", 1, `{"a":1}`},
		{`{"a": {"b": 1}}`, "{\"a\": {\"b\": 1}}", 1, `{"a":{"b":1}}`},
		{`{"a": 1}`, `{"a": 1`, 0, ""},
		{`{"a": 1}`, "a = 1", 0, ""},
		{`"x"`, `"x"`, 1, `"x"`},
		{`9007199254740993`, `9007199254740992`, 0, `9007199254740992`},
	})
	judgeAll(t, Config{Kind: "json", Schema: "person.schema.json"}, Item{}, []scored{
		{"", `{"name": "Ada", "age": 36}`, 1, `{"age":36,"name":"Ada"}`},
		{"", `{"name": "Ada", "age": -1}`, 0, `{"age":-1,"name":"Ada"}`},
		{"", `{"name": "Ada"}`, 0, `{"name":"Ada"}`},
		{"", `no JSON`, 0, ""},
		{`{"name": "Ada", "age": 37}`, `{"name": "Ada", "age": 36}`, 0, `{"age":36,"name":"Ada"}`},
	})
}
