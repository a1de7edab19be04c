package importer

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestFooterClaims: a footer that claims more than it holds is refused before
// memory is taken for it.
func TestFooterClaims(t *testing.T) {
	file := func(footer []byte, length uint32) string {
		path := filepath.Join(t.TempDir(), "x.parquet")
		data := append([]byte("PAR1"), footer...)
		data = append(binary.LittleEndian.AppendUint32(data, length), "PAR1"...)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	list := append([]byte{0x15, 0x02, 0x19, 0xfc}, binary.AppendUvarint(nil, 1<<31-1)...) // version 1, and a schema
	text := append([]byte{0x15, 0x02, 0x19, 0x1c, 0x48}, binary.AppendUvarint(nil, 1<<31-1)...)
	for name, test := range map[string]struct{ path, want string }{
		"length of 4 GB":  {file(make([]byte, 100), 0xffffff00), "claims 4294967040 bytes, more than the file has"},
		"list of 2^31":    {file(list, uint32(len(list))), "claims a list of 2147483647 items"},
		"text of 2^31":    {file(text, uint32(len(text))), "its footer is damaged"},
		"a cut footer":    {file(list[:3], 3), "its footer is damaged"},
		"nested too deep": {file([]byte(strings.Repeat("\x1c", 1000)), 1000), "its footer is damaged"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := openParquet(test.path)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: openParquet = %v, want %q", name, err, test.want)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<20 {
			t.Errorf("%s: %d bytes were allocated", name, taken)
		}
	}
}

// TestManyColumns: a table of a million columns is refused at once.
func TestManyColumns(t *testing.T) {
	var header strings.Builder
	header.WriteString("prompt,model,score")
	for i := range 1_000_000 {
		header.WriteString(",c" + strconv.Itoa(i))
	}
	path := filepath.Join(t.TempDir(), "wide.csv")
	if err := os.WriteFile(path, []byte(header.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	for _, format := range []string{"table", "routellm", "routerbench"} {
		_, err := Import(t.Context(), format, path, filepath.Join(t.TempDir(), "d"), Options{})
		if err == nil || !strings.Contains(err.Error(), "1000003 columns, more than the limit of 16384") {
			t.Errorf("%s: Import = %v, want the limit", format, err)
		}
	}
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestManyModels: work grows with the number of models, and a cancelled import ends.
func TestManyModels(t *testing.T) {
	var table strings.Builder
	table.WriteString("prompt,model,score\n")
	for i := range 100_000 {
		table.WriteString("p,model-" + strconv.Itoa(i) + ",1\n")
	}
	path := filepath.Join(t.TempDir(), "long.csv")
	if err := os.WriteFile(path, []byte(table.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	report, err := Import(t.Context(), "table", path, filepath.Join(t.TempDir(), "d"), Options{})
	if err != nil || len(report.Models) != 100_000 {
		t.Fatalf("Import = %v, want 100,000 models", err)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Import(ctx, "table", path, filepath.Join(t.TempDir(), "d"), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled Import = %v", err)
	}
}
