package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/carrot-router/carrot/internal/database/databasetest"
)

// TestServeLogin: an operator logs in to the dashboard of a running gateway and creates a
// client, whose key works at once. Another admin key ends the session.
func TestServeLogin(t *testing.T) {
	_, models := simulated(t)
	config := configured(t, databasetest.SQLite(t), "listen: 127.0.0.1:0\nadmin_key: operator-0123456789abcdef\n"+models)
	_, log, stop := serving(t, "--config", config)
	defer stop()
	clients, admin := "http://"+log.find(t, `"address":"([^"]+)"`), "http://"+log.find(t, `"admin":"([^"]+)"`)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	read := func(answer *http.Response, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	if status, text := read(browser.Get(admin + "/")); status != 200 || !strings.Contains(text, "Admin key") {
		t.Fatalf("status %d: %s", status, text)
	}
	if status, text := read(browser.PostForm(admin+"/ui/login", url.Values{"key": {"operator-0123456789abcdef"}, "to": {"/ui/clients"}})); status != 200 || !strings.Contains(text, "Create a client") {
		t.Fatalf("status %d: %s", status, text)
	}
	_, text := read(browser.Get(admin + "/ui/clients"))
	token := regexp.MustCompile(`name="csrf" value="(\w+)"`).FindStringSubmatch(text)
	status, text := read(browser.PostForm(admin+"/ui/clients", url.Values{"csrf": {token[1]}, "name": {"shop"}, "policy": {"cheap"}}))
	key := regexp.MustCompile(`sk-carrot-[A-Z2-7]{26}`).FindString(text)
	if status != 200 || key == "" {
		t.Fatalf("status %d: %s", status, text)
	}
	for sent, want := range map[string]int{key: 200, "sk-carrot-AAAAAAAAAAAAAAAAAAAAAAAAAA": 401} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", clients+"/v1/chat/completions", strings.NewReader(`{"model":"cheap","messages":[{"role":"user","content":"What is 17 * 23?"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+sent)
		if status, text := read(http.DefaultClient.Do(r)); status != want {
			t.Errorf("status %d, want %d: %s", status, want, text)
		}
	}
	if status, _ := read(browser.Get(admin + "/metrics")); status != 401 {
		t.Errorf("a session reads metrics: %d", status)
	}
	before, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(before), "operator-", "another-", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", admin+"/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer operator-0123456789abcdef")
	if status, text := read(http.DefaultClient.Do(r)); status != 200 {
		t.Fatalf("status %d: %s", status, text)
	}
	if _, text := read(browser.Get(admin + "/ui/clients")); !strings.Contains(text, "Admin key") {
		t.Errorf("the session outlives the admin key: %s", text)
	}
}

// TestServeRouterPage: after a reload that fails, the page about the router has the one that
// decides, and not the one that was read in vain.
func TestServeRouterPage(t *testing.T) {
	_, models := simulated(t)
	config := configured(t, databasetest.SQLite(t), "listen: 127.0.0.1:0\n"+models)
	_, log, stop := serving(t, "--config", config)
	defer stop()
	admin := "http://" + log.find(t, `"admin":"([^"]+)"`)
	router := func() string {
		t.Helper()
		answer, err := http.Get(admin + "/ui/router")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`<dt>File</dt>.*\n.*<code>(\w+)</code>`).FindString(string(text))
		if found == "" {
			t.Fatalf("no router on the page: %s", text)
		}
		return found
	}
	was := router()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("router: "+routers(t, "other")[0]+"\npolicies: [{name: beside, shadow_router: missing.safetensors}]\n"+string(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(admin+"/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	why, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(why), "missing.safetensors") {
		t.Fatalf("a reload without a file: status %d, %v: %s", answer.StatusCode, err, why)
	}
	if is := router(); is != was {
		t.Errorf("the page has the router %s, want %s", is, was)
	}
}
