package dataset

import (
	"bytes"
	"slices"
	"testing"
)

// badFolder is the tiny folder with some files replaced, and the error that Load
// returns, from the name of the file on.
type badFolder struct {
	want  string
	files map[string][]byte
}

func badFolders(t testing.TB) []badFolder {
	return slices.Concat(badFiles(t), badCSV(t), badJSON(t))
}

// badFiles are folders in which a whole file is bad or missing.
func badFiles(t testing.TB) []badFolder {
	whole := text(t, "outcomes.csv", "id", "id")
	cut := zip(t, bytes.Repeat(whole, 100))
	return []badFolder{
		{"outcomes.csv: is empty: the header is missing", map[string][]byte{"outcomes.csv": {}}},
		{"outcomes.csv.gz:10: gzip data is cut short", map[string][]byte{"outcomes.csv": nil, "outcomes.csv.gz": cut[:len(cut)/2]}},
		{"outcomes.csv.gz: gzip data is cut short", map[string][]byte{"outcomes.csv": nil, "outcomes.csv.gz": cut[:9]}},
		{"outcomes.csv.gz:1: gzip data is damaged", map[string][]byte{"outcomes.csv": nil, "outcomes.csv.gz": append(append([]byte{}, cut[:10]...), 0xff, 0xff, 0xff)}},
		{"outcomes.csv: exists, and so does outcomes.csv.gz", map[string][]byte{"outcomes.csv.gz": zip(t, whole)}},
		{"outcomes.csv: the file is missing", map[string][]byte{"outcomes.csv": nil}},
		{"queries.jsonl: the file is missing", map[string][]byte{"queries.jsonl": nil}},
		{"models.json: the file is missing", map[string][]byte{"models.json": nil}},
		{"queries.jsonl: holds no query", map[string][]byte{"queries.jsonl": {}, "outcomes.csv": []byte("id,model,score,input_tokens,output_tokens\n"), "answers.csv": nil}},
		{"models.json:1: is not valid JSON: the file ends inside the list", map[string][]byte{"models.json": []byte("[")}},
		{"models.json:1: is not a JSON list", map[string][]byte{"models.json": []byte("{}")}},
		{"models.json: holds no model", map[string][]byte{"models.json": []byte("[]")}},
		{"models.json: is not UTF-8", map[string][]byte{"models.json": []byte("[\"\xff\"]")}},
	}
}

// badCSV are folders with a bad row in a CSV file.
func badCSV(t testing.TB) []badFolder {
	outcome := func(old, new, want string) badFolder {
		return badFolder{"outcomes.csv" + want, map[string][]byte{"outcomes.csv": text(t, "outcomes.csv", old, new)}}
	}
	answer := func(old, new, want string) badFolder {
		return badFolder{"answers.csv" + want, map[string][]byte{"answers.csv": text(t, "answers.csv", old, new)}}
	}
	const head, row = "id,model,score,input_tokens,output_tokens,cached_tokens,cost_usd", "word/1,acme-large,0.75,14,9,0,"
	return []badFolder{
		outcome(head, "id,model,score,input_tokens", ":1: field output_tokens: header: the column is missing"),
		outcome(head, head+",latency", `:1: header: unknown column "latency"`),
		outcome(head, head+",cost_usd", ":1: field cost_usd: header: the column is given twice"),
		outcome("id,model,score", "id,score,model", ":1: field model: header: is column 3, not 2"),
		outcome(row, "word/1,acme-large,1.2,14,9,0,", ":4: field score: 1.2 is outside [0,1]"),
		outcome(row, "word/1,acme-large,-0.1,14,9,0,", ":4: field score: -0.1 is outside [0,1]"),
		outcome(row, "word/1,acme-large,NaN,14,9,0,", `:4: field score: "NaN" is not a number`),
		outcome(row, "word/1,acme-large,0x1p-2,14,9,0,", `:4: field score: "0x1p-2" is not a number`),
		outcome(row, "word/1,acme-large,1e,14,9,0,", `:4: field score: "1e" is not a number`),
		outcome(row, "word/1,acme-large,1,-14,9,0,", ":4: field input_tokens: -14 is negative"),
		outcome(row, "word/1,acme-large,1,14,Inf,0,", `:4: field output_tokens: "Inf" is not a number`),
		outcome(row, "word/1,acme-large,1,14,1e999,0,", ":4: field output_tokens: is infinite"),
		outcome(row, "word/1,acme-large,1,14,9e99,0,", ":4: field output_tokens: 9e+99 is too large"),
		outcome(row, "word/1,acme-large,1,14,9,-1,", ":4: field cached_tokens: -1 is negative"),
		outcome(row, "word/1,acme-large,1,14,9,,-2", ":4: field cost_usd: -2 is negative"),
		outcome(row, "word/1,acme-huge,1,14,9,,", `:4: field model: "acme-huge" is not in models.json`),
		outcome(row, "word/9,acme-large,1,14,9,,", `:4: field id: "word/9" is not in queries.jsonl`),
		outcome(row, ",acme-large,1,14,9,,", ":4: field id: is empty"),
		outcome(row, "word/1,,1,14,9,,", ":4: field model: is empty"),
		outcome(row, "sum/1,acme-large,1,14,9,,", `:4: field id: "sum/1" with model "acme-large" repeats line 2`),
		outcome(row, "word/1,acme-large,1,14,9", ":4: 5 fields, but the header has 7"),
		outcome(row, `word/1,acme-"large",1,14,9,,`, ":4: a quote is inside an unquoted field or is followed by more text"),
		outcome(row, `word/1,"acme-large,1,14,9,,`, ":4: a quote is not closed"),
		outcome(row, "word/1,acme-large\xff,1,14,9,,", ":4: byte 18 of the line (0xff) is not UTF-8"),
		answer("id,model,answer", "id,model,hash", `:1: header: unknown column "hash"`),
		answer("sum/1,acme-small,5", "sum/1,acme-large,5", `:3: field id: "sum/1" with model "acme-large" repeats line 2`),
		answer("word/1", "word/7", `:6: field id: "word/7" is not in queries.jsonl`),
	}
}

// badJSON are folders with a bad query or model.
func badJSON(t testing.TB) []badFolder {
	query := func(old, new, want string) badFolder {
		return badFolder{"queries.jsonl" + want, map[string][]byte{"queries.jsonl": text(t, "queries.jsonl", old, new)}}
	}
	model := func(old, new, want string) badFolder {
		return badFolder{"models.json" + want, map[string][]byte{"models.json": text(t, "models.json", old, new)}}
	}
	return []badFolder{
		query(`"id": "word/2"`, `"id": "sum/2"`, `:4: field id: "sum/2" repeats line 2`),
		query(`"id": "sum/2", `, ``, ":2: field id: is missing or empty"),
		query(`"id": "sum/2"`, `"id": 2`, ":2: field id: is not a string"),
		query(`"id": "sum/2"`, `"id": "sum\t2"`, `:2: field id: "sum\t2" holds a control character`),
		query(`"split": "validation"`, `"split": "dev"`, `:2: field split: "dev" is not train, validation, test or extra`),
		query(`"split": "validation"`, `"Split": "test"`, `:2: field "Split": is not a field of a query`),
		query(`"split": "validation"`, `"id": "b"`, ":2: field id: is given twice"),
		query(`"source": "words", `, `"source": null, `, ":3: field source: is not a string"),
		query(`What is 2 + 3?`, ``, ":1: field prompt: is missing or empty"),
		query(`What is 2 + 3?"}`, `What`, ":1: is not valid JSON: the line ends inside the object"),
		query(`What is 2 + 3?"}`, `What"} {}`, ":1: text follows the JSON object"),
		query(`What is 2 + 3?"}`, `What",}`, ":1: is not valid JSON: "),
		query(`{"id": "sum/1"`, `[{"id": "sum/1"`, ":1: is not a JSON object"),
		query("carrot", "c\xe0rrot", ":3: byte 67 of the line (0xe0) is not UTF-8"),
		model(`"acme-small"`, `"acme-large"`, `:9: field name: "acme-large" repeats line 2`),
		model(`"input_usd_per_million": 0.1`, `"input_usd_per_million": -0.1`, `:9: field input_usd_per_million: -0.1 is negative (model "acme-small")`),
		model(`"input_usd_per_million": 0.1,`, ``, `:9: field input_usd_per_million: is missing, but the price of output is given (model "acme-small")`),
		model(`"input_usd_per_million": 0.1`, `"input_usd": 0.1`, `:9: model 2: json: unknown field "input_usd"`),
		model(`"name": "acme-small"`, `"name": ""`, ":9: field name: is missing or empty"),
		model(`"acme-small"`, `acme-small`, ":10: is not valid JSON: "),
	}
}
