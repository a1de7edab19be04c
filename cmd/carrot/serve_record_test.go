package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A server that lost records says how many and exits with status 1.
func TestServeRecordOnFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /dev/full")
	}
	providers, _, stopDemo := serving(t, "--demo", "--listen", "127.0.0.1:0")
	defer stopDemo()
	upstream := providers.find(t, `simulated models at (http://\S+)\.`)
	config := filepath.Join(t.TempDir(), "carrot.yaml")
	text := fmt.Sprintf(`
listen: 127.0.0.1:0
admin_listen: 127.0.0.1:0
record: {path: /dev/full}
providers: [{name: up, kind: openai, base_url: "%s/v1"}]
models: [{name: gpt-4o-mini-2024-07-18, provider: up}]
`, upstream)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, log, stop := serving(t, "--config", config)
	url := "http://" + log.find(t, `"address":"([^"]+)"`) + "/v1/chat/completions"
	admin := "http://" + log.find(t, `"admin":"([^"]+)"`)
	if status, body := ask(t, url, "gpt-4o-mini-2024-07-18"); status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	log.find(t, `"level":"ERROR","msg":"records cannot be written; up to 4 MiB are held back.*no space left on device`)
	if strings.Contains(log.String(), "was not recorded") {
		t.Errorf("a row that is held back is called lost:\n%s", log)
	}
	response, err := http.Get(admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || !strings.Contains(string(metrics), "\ncarrot_records_lost_total 0\n") || !strings.Contains(string(metrics), "\ncarrot_records_pruned_total 0\n") {
		t.Errorf("%v: want both counters of records in\n%s", err, metrics)
	}
	http.DefaultClient.CloseIdleConnections()
	if status := stop(); status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	log.find(t, `carrot: error: close records in /dev/full: rows lost: [0-9]+: .*no space left on device`)
}
