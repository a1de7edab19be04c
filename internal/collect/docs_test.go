package collect

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/internal/judge"
)

// TestDocs: docs/collect.md names every key of a configuration; those of judges are in a
// page of their own.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/collect.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "## Every key")
	if !ok {
		t.Fatal("docs/collect.md has no list of keys")
	}
	named := strings.NewReplacer("`", " ", ".", " ", ",", " ", "[]", "").Replace(table)
	words := map[string]bool{}
	for _, word := range strings.Fields(named) {
		words[word] = true
	}
	var check func(of reflect.Type)
	check = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[judge.Config]() {
			return
		}
		for i := range of.NumField() {
			if key := of.Field(i).Tag.Get("yaml"); key != "" {
				if !words[key] {
					t.Errorf("docs/collect.md does not name %s of %s", key, of)
				}
				check(of.Field(i).Type)
			}
		}
	}
	check(reflect.TypeFor[Config]())
}
