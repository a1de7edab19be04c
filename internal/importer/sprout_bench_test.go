package importer

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/snappy"
)

// BenchmarkImportSPROUT imports a file as large as SPROUT: 44,000 rows and 13
// models, with prompts of 600 bytes and responses of 1,000. The peak memory is
// that of the import, as the file is written in small pieces before.
func BenchmarkImportSPROUT(b *testing.B) {
	const rows, models = 44_000, 13
	dir := b.TempDir()
	writeBenchFile(b, filepath.Join(dir, "train-00000-of-00001.parquet"), rows, models)
	b.ReportAllocs()
	run := 0
	for b.Loop() {
		run++
		report, err := importSPROUT(b.Context(), dir, filepath.Join(dir, fmt.Sprint("out", run)), Options{})
		if err != nil || report.Queries != rows || len(report.Models) != models {
			b.Fatalf("%+v, %v", report, err)
		}
	}
	if kb := peakRSS(); kb > 0 {
		b.ReportMetric(kb/1024, "peak-MB")
	}
}

func writeBenchFile(b *testing.B, path string, rows, models int) {
	b.Helper()
	text := func() parquet.Node { return parquet.String() }
	schema := parquet.Group{"key": parquet.Int(64), "dataset": text(), "dataset_level": parquet.Optional(text()),
		"dataset_idx": parquet.Int(64), "prompt": text(), "golden_answer": text()}
	for m := range models {
		schema[fmt.Sprintf("model-%02d", m)] = parquet.Optional(parquet.Group{
			"score": parquet.Optional(parquet.Leaf(parquet.DoubleType)), "num_input_tokens": parquet.Optional(parquet.Int(64)),
			"num_output_tokens": parquet.Optional(parquet.Int(64)), "response": parquet.Optional(text())})
	}
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := parquet.NewGenericWriter[map[string]any](f, parquet.NewSchema("sprout", schema), parquet.Compression(&snappy.Codec{}), parquet.MaxRowsPerRowGroup(4_000))
	random := rand.New(rand.NewPCG(7, 7))
	words := strings.Fields("the sum of two small numbers is asked for here and then written out as plain text with some figures behind it")
	prose := func(size int) string {
		var t strings.Builder
		for t.Len() < size {
			t.WriteString(words[random.IntN(len(words))])
			t.WriteByte(' ')
		}
		return t.String()
	}
	for i := range rows {
		row := map[string]any{"key": int64(i), "dataset": "made-up", "dataset_level": "easy", "dataset_idx": int64(i),
			"prompt": strconv.Itoa(i) + " " + prose(600), "golden_answer": "42"}
		for m := range models {
			row[fmt.Sprintf("model-%02d", m)] = map[string]any{"score": float64(random.IntN(2)), "num_input_tokens": int64(150 + i%7),
				"num_output_tokens": int64(random.IntN(900)), "response": prose(1000)}
		}
		if _, err := w.Write([]map[string]any{row}); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// peakRSS returns the peak memory of the process in kB, or 0 if it is unknown.
func peakRSS() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kb, _ := strconv.ParseFloat(strings.TrimSpace(strings.SplitN(after, "kB", 2)[0]), 64)
	return kb
}
