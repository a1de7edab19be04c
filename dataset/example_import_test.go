package dataset_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/carrot-router/carrot/dataset"
)

func ExampleImport() {
	dir, err := os.MkdirTemp("", "import")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	runs := filepath.Join(dir, "runs.csv")
	const text = "question,llm,correct\nWhat is 2 + 2?,large,True\nWhat is 2 + 2?,small,False\n"
	if err := os.WriteFile(runs, []byte(text), 0o644); err != nil {
		log.Fatal(err)
	}
	report, err := dataset.Import(context.Background(), "table", runs, filepath.Join(dir, "set"), dataset.ImportOptions{
		Columns: map[string]string{"prompt": "question", "model": "llm", "score": "correct"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Queries, "query,", report.Scores, "scores of", report.Models)
	// Output: 1 query, 2 scores of [large small]
}

func ExampleFormats() {
	for _, f := range dataset.Formats() {
		fmt.Println(f.Name)
	}
	// Output:
	// sprout
	// routerbench
	// open-llm
	// routellm
	// llmrouter
	// embedllm
	// litellm
	// openai-batch
	// table
}

func ExampleReadColumns() {
	const file = `
prompt: question
score:
  gpt-4: gpt4_ok
`
	columns, err := dataset.ReadColumns(strings.NewReader(file), "columns.yaml")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(columns)
	// Output: map[prompt:question score:gpt-4:gpt4_ok]
}
