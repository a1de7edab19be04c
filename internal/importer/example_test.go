package importer_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/carrot-router/carrot/internal/importer"
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
	report, err := importer.Import(context.Background(), "table", runs, filepath.Join(dir, "set"), importer.Options{
		Columns: map[string]string{"prompt": "question", "model": "llm", "score": "correct"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Queries, "query,", report.Scores, "scores of", report.Models)
	// Output: 1 query, 2 scores of [large small]
}

func ExampleFormats() {
	for _, f := range importer.Formats() {
		fmt.Println(f.Name)
	}
	// Output:
	// sprout
	// routerbench
	// zeroeval
	// mmlu-pro
	// open-llm
	// routellm
	// llmrouter
	// embedllm
	// litellm
	// openai-batch
	// carrot
	// inspect
	// promptfoo
	// langfuse
	// openhands
	// table
}

func ExampleReadColumns() {
	const file = `
prompt: question
score:
  gpt-4: gpt4_ok
`
	columns, err := importer.ReadColumns(strings.NewReader(file), "columns.yaml")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(columns)
	// Output: map[prompt:question score:gpt-4:gpt4_ok]
}
