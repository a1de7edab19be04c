package gateway_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/carrot-router/carrot/gateway"
)

func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// workload is what this test reads of an object of Kubernetes.
type workload struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Replicas int
		Template struct {
			Spec struct {
				TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
				Containers                    []struct {
					Env       []struct{ Name, Value string }
					Resources struct{ Limits struct{ Memory string } }
				}
			}
		}
	}
}

// TestDeployFiles: the configuration in deploy/ is valid, the ConfigMap holds the same, and
// what runs it gives it the memory and the time that it needs.
func TestDeployFiles(t *testing.T) {
	text := deployed(t, "carrot.yaml")
	c, err := gateway.ParseFile([]byte(text), func(name string) (string, bool) { return "a-key-that-is-long-enough-" + name, true })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.New(&c.Config, source(), gateway.Options{}); err != nil {
		t.Error(err)
	}
	if c.Limits.Drain < 4*time.Second {
		t.Errorf("limits.drain is %v, want the time in which a probe or the balancer notices that /ready fails twice", c.Limits.Drain)
	}
	stop := c.Limits.Drain + c.Limits.Shutdown + 5*time.Second
	graceful := func(where string, seconds int) {
		t.Helper()
		if got := time.Duration(seconds) * time.Second; got < stop {
			t.Errorf("%s gives the gateway %v to stop, want limits.drain + limits.shutdown + 5s = %v", where, got, stop)
		}
	}
	bounded := func(where string, limit, memory int) {
		t.Helper()
		if 4*memory != 3*limit {
			t.Errorf("%s: GOMEMLIMIT is %d MiB, want three quarters of %d MiB", where, memory, limit)
		}
		// limits.memory_mb is half of GOMEMLIMIT, and the gateway counts nine bytes for each
		// byte of a body.
		if 9*c.Limits.BodyMB > memory/2 {
			t.Errorf("%s: GOMEMLIMIT is %d MiB, want 18 times limits.body_mb, %d MiB, so that every body that is allowed is accepted", where, memory, c.Limits.BodyMB)
		}
		if c.Limits.Connections*100 > limit*1024/2 {
			t.Errorf("%s: %d connections, want 100 KB each to be at most half of %d MiB", where, c.Limits.Connections, limit)
		}
	}

	seen := map[string]bool{}
	decoder := yaml.NewDecoder(strings.NewReader(deployed(t, "kubernetes.yaml")))
	for {
		var w workload
		if err := decoder.Decode(&w); err != nil {
			break // kinds are counted below
		}
		where := w.Kind + " " + w.Metadata.Name
		seen[where] = true
		switch where {
		case "ConfigMap carrot":
			_, settings, _ := strings.Cut(text, "\nlisten:") // without the comment
			if got, want := w.Data["carrot.yaml"], "listen:"+settings; got != want {
				t.Errorf("the ConfigMap has\n%s\nand deploy/carrot.yaml\n%s", got, want)
			}
		case "StatefulSet carrot":
			pod := w.Spec.Template.Spec
			graceful(where, pod.TerminationGracePeriodSeconds)
			environment := map[string]string{}
			for _, e := range pod.Containers[0].Env {
				environment[e.Name] = e.Value
			}
			bounded(where, mebibytes(t, pod.Containers[0].Resources.Limits.Memory), mebibytes(t, environment["GOMEMLIMIT"]))
			if w.Spec.Replicas != 2 {
				t.Errorf("%d replicas, want 2", w.Spec.Replicas)
			}
		}
	}
	for _, want := range []string{"ConfigMap carrot", "StatefulSet carrot", "Service carrot", "PodDisruptionBudget carrot", "StatefulSet carrot-postgres", "Service carrot-postgres"} {
		if !seen[want] {
			t.Errorf("deploy/kubernetes.yaml has %v, want a %s too", seen, want)
		}
	}

	var compose struct {
		Services map[string]struct {
			Environment map[string]string
			MemLimit    string        `yaml:"mem_limit"`
			Grace       time.Duration `yaml:"stop_grace_period"`
		}
	}
	if err := yaml.Unmarshal([]byte(deployed(t, "compose.yaml")), &compose); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"carrot-1", "carrot-2"} {
		s := compose.Services[name]
		graceful(name, int(s.Grace.Seconds()))
		bounded(name, mebibytes(t, s.MemLimit), mebibytes(t, s.Environment["GOMEMLIMIT"]))
	}

	unit := deployed(t, "carrot.service")
	seconds, err := strconv.Atoi(setting(unit, "TimeoutStopSec"))
	if err != nil {
		t.Errorf("TimeoutStopSec: %v", err)
	}
	graceful("carrot.service", seconds)
	if limit, memory := mebibytes(t, setting(unit, "MemoryMax")), mebibytes(t, strings.TrimPrefix(setting(unit, "Environment"), "GOMEMLIMIT=")); 4*memory != 3*limit {
		t.Errorf("carrot.service: GOMEMLIMIT is %d MiB, want three quarters of %d MiB", memory, limit)
	}
}

// setting returns a setting of a unit of systemd.
func setting(unit, name string) string {
	found := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindStringSubmatch(unit)
	if found == nil {
		return ""
	}
	return found[1]
}

// mebibytes reads an amount of memory as Go, Kubernetes, systemd or Compose write it; all
// of them mean powers of 1024 by what is here.
func mebibytes(t *testing.T, text string) int {
	t.Helper()
	var n int
	var unit string
	if _, err := fmt.Sscanf(text, "%d%s", &n, &unit); err != nil {
		t.Fatalf("%q is no amount of memory: %v", text, err)
	}
	switch unit {
	case "MiB", "Mi", "M", "m":
		return n
	case "GiB", "Gi", "G", "g":
		return n << 10
	}
	t.Fatalf("%q has a unit that is not known", text)
	return 0
}

// TestDeployDocs: docs/deploy.md links every file of deploy/, and repeats none.
func TestDeployDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir("../deploy")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if link := "](../deploy/" + file.Name() + ")"; !bytes.Contains(page, []byte(link)) && file.Name() != "Dockerfile.dockerignore" {
			t.Errorf("docs/deploy.md does not link %s", file.Name())
		}
	}
	for _, link := range regexp.MustCompile(`\]\((\.\./deploy/[^)#]+)\)`).FindAllSubmatch(page, -1) {
		if _, err := os.Stat("../docs/" + string(link[1])); err != nil {
			t.Error(err)
		}
	}
}
