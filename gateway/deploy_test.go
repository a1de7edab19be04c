package gateway_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/carrot-router/carrot/gateway"
)

// The configuration in the Kubernetes manifest of docs/deploy.md is valid.
func TestDeployDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("no YAML in docs/deploy.md")
	}
	documents := regexp.MustCompile(`(?m)^---\n`).Split(string(block[1]), -1)
	var kinds []string
	for _, document := range documents {
		var d struct {
			Kind string
			Data map[string]string
		}
		if err := yaml.Unmarshal([]byte(document), &d); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		kinds = append(kinds, d.Kind)
		if d.Kind != "ConfigMap" {
			continue
		}
		c, err := gateway.ParseFile([]byte(d.Data["carrot.yaml"]), func(name string) (string, bool) { return "a-key-that-is-long-enough-" + name, true })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := gateway.New(&c.Config, source(), gateway.Options{}); err != nil {
			t.Error(err)
		}
	}
	if len(kinds) != 3 {
		t.Errorf("documents of kinds %v, want a ConfigMap, a Deployment and a Service", kinds)
	}
}
