package importer

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParquetKinds reads every kind of column that pyarrow writes (testdata/kinds.py):
// decimals of all widths, half floats, lists of structs, texts and numbers, structs.
func TestParquetKinds(t *testing.T) {
	want := []string{
		`1 d9="0.5" d18="1.000001" d38="0.1234567890123456789" d76="-0.25" half="0.5" chat="Be brief.\n\nWhy?" texts="[\"a\",null]" numbers="[1.5,2]" usage.prompt_tokens="3" usage.more.cached="1" nested="[[\"a\"]]"`,
		`2 d9="-12.25" d18="-0.000001" d38="-3" d76="100000000000000000000" half="-2" chat="How, then?" numbers="[3]"`,
		`3 d18="0" texts="[\"c\"]"`,
		`4 d9="0.01" d38="7.5" d76="7.5" half="5.9604645e-08" numbers="[\"+Inf\"]" usage.prompt_tokens="4"`,
	}
	for _, name := range []string{"kinds.parquet", "kinds_v2.parquet"} {
		got, err := scanned(t, scanParquet, filepath.Join("testdata", name), scanHooks{})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v, rows (-want +got):\n%s", name, err, diff)
		}
	}
	for _, column := range []string{"day"} {
		hooks := scanHooks{columns: func([]string) ([]string, error) { return []string{column}, nil }}
		path := filepath.Join("testdata", "kinds.parquet")
		if _, err := scanned(t, scanParquet, path, hooks); err == nil || err.Error() != path+": field "+column+": is neither text nor numbers, nor a list of them or of structs of them" {
			t.Errorf("column %s: error %v", column, err)
		}
	}
}

func TestHalfFloat(t *testing.T) {
	for bits, want := range map[uint16]float64{0: 0, 0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0400: math.Pow(2, -14), 0x0001: math.Pow(2, -24),
		0x03ff: 1023 * math.Pow(2, -24), 0x3555: 0.333251953125, 0x7c00: math.Inf(1), 0xfc00: math.Inf(-1)} {
		if got := halfFloat(bits); got != want {
			t.Errorf("halfFloat(%#04x) = %v, want %v", bits, got, want)
		}
	}
	if !math.IsNaN(halfFloat(0x7e00)) {
		t.Error("0x7e00 is not NaN")
	}
}
