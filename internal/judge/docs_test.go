package judge

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestDocs looks for every kind and key in docs/judges.md.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/judges.md")
	if err != nil {
		t.Fatal(err)
	}
	names := Kinds()
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		names = append(names, field.Tag.Get("yaml"))
	}
	for _, t := range []reflect.Type{reflect.TypeFor[Item](), reflect.TypeFor[commandReply]()} {
		for _, field := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "score" {
				continue // in an example
			}
			names = append(names, name)
		}
	}
	for _, name := range names {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/judges.md does not name `%s`", name)
		}
	}
	for _, name := range append(singles, pairs...) {
		if !strings.Contains(string(page), "{{"+name+"}}") {
			t.Errorf("docs/judges.md does not name {{%s}}", name)
		}
	}
}
