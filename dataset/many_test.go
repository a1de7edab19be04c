package dataset

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestManyModels: the time to read models.json grows with its length, and lines are
// counted right.
func TestManyModels(t *testing.T) {
	const n = 300_000
	var text strings.Builder
	text.WriteString("[\n")
	for i := range n {
		fmt.Fprintf(&text, "{\"name\": \"model-%d\",\n \"pool\": true},\n", i)
	}
	text.WriteString("{\"name\": \"model-7\"}]\n")
	started := time.Now()
	var faults []*FormatError
	models, err := parseModels("models.json", []byte(text.String()), func(e *FormatError) error { faults = append(faults, e); return nil })
	if err != nil || len(models) != n || len(faults) != 1 || faults[0].Line != 2*n+2 || !strings.Contains(faults[0].Reason, "repeats line 16") {
		t.Errorf("parseModels = %d models, %v, %v, want %d and a name that repeats line 16", len(models), faults, err, n)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
