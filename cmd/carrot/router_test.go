package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/carrot-router/carrot/artifact"
)

// routers writes the router in the binary with several descriptions, so that they differ.
func routers(t *testing.T, names ...string) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		a, err := artifact.Default()
		if err != nil {
			t.Fatal(err)
		}
		a.Manifest.Description = name
		path := filepath.Join(dir, name+".safetensors")
		if err := a.WriteFile(path); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// TestRouterPromote: a promoted router serves at once, the earlier ones can be gone back to
// one by one, and what a gateway would refuse changes nothing.
func TestRouterPromote(t *testing.T) {
	all := routers(t, "first", "second", "third")
	dir := t.TempDir()
	config, live := filepath.Join(dir, "carrot.yaml"), filepath.Join(dir, "router.safetensors")
	_, rest := simulated(t)
	text := "admin_listen: 127.0.0.1:0\nrouter: router.safetensors\n" + rest + "policies: [{name: some, canary: {router: canary.safetensors, share: 0.5}}, {name: other, shadow_router: canary.safetensors}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(all[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{live, filepath.Join(dir, "canary.safetensors")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	broken := filepath.Join(dir, "broken.safetensors")
	if err := os.WriteFile(broken, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServing(t, config)
	is := func(which string) {
		t.Helper()
		want, err := os.ReadFile(which)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(live); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the router is not %s (%v)", filepath.Base(which), err)
		}
	}
	step := func(wantStatus int, want string, args ...string) string {
		t.Helper()
		out, errs, status := do(t, append(append([]string{"router"}, args...), "--config", config)...)
		if status != wantStatus || !strings.Contains(out+errs, want) {
			t.Errorf("router %s: status %d\n%s%s\nwant %d, %s", strings.Join(args, " "), status, out, errs, wantStatus, want)
		}
		return out
	}
	step(exitFailed, "no earlier router", "rollback")
	step(exitOK, "no router was promoted", "history")
	step(exitFailed, "is this router already", "promote", all[0])
	step(exitFailed, "refuses the router", "promote", broken)
	is(all[0])
	step(exitOK, "rollback --config "+config+" goes back to it", "promote", all[1], "--note", "better")
	is(all[1])
	out := step(exitOK, "", "promote", all[2], "--json")
	if gjson.Get(out, "schema").Str != changeSchema || gjson.Get(out, "action").Str != "promote" {
		t.Errorf("promote --json: %s", out)
	}
	is(all[2])
	if !within(t, func() bool { return strings.Count(s.log.String(), `"msg":"reloaded"`) > 0 }) {
		t.Errorf("the gateway did not reload: %s", s.log)
	}
	step(exitOK, "kept as", "rollback")
	is(all[1])
	step(exitOK, "kept as", "rollback", "--note", "worse")
	is(all[0])
	step(exitFailed, "no earlier router", "rollback")
	step(exitOK, "", "promote", all[2])
	if err := os.WriteFile(live, data, 0o600); err != nil { // by other means
		t.Fatal(err)
	}
	step(exitOK, "", "rollback")
	is(all[2])
	var history routerHistory
	if err := json.Unmarshal([]byte(step(exitOK, historySchema, "history", "--json")), &history); err != nil || len(history.Changes) != 6 || history.Changes[0].Note != "better" {
		t.Errorf("history %+v (%v)", history, err)
	}
	if err := os.WriteFile(config, []byte(rest), 0o600); err != nil {
		t.Fatal(err)
	}
	step(exitFailed, "the router in the binary", "promote", all[1])
}

// within waits up to ten seconds until something is so.
func within(t *testing.T, so func() bool) bool {
	t.Helper()
	for range 200 {
		if so() {
			return true
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}

// TestLearnPromotes: carrot learn --config promotes as carrot router promote does, so that a
// rollback goes back to the router before.
func TestLearnPromotes(t *testing.T) {
	first := routers(t, "first")[0]
	dir := t.TempDir()
	config, live := filepath.Join(dir, "carrot.yaml"), filepath.Join(dir, "router.safetensors")
	_, rest := simulated(t)
	data, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string][]byte{config: []byte("admin_listen: 127.0.0.1:0\nrouter: router.safetensors\n" + rest), live: data} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	start, err := artifact.Open(live)
	if err != nil {
		t.Fatal(err)
	}
	learned := longer(start)
	promoted, err := (&learnCommand{Config: config, Out: live}).promote(terminal{out: io.Discard, err: io.Discard}, &lesson{live: start, next: learned})
	if err != nil || promoted.Fingerprint == start.Fingerprint || promoted.Manifest.Learned == nil {
		t.Fatalf("promoted %+v, %v", promoted, err)
	}
	if out, errs, status := do(t, "router", "rollback", "--config", config); status != exitOK {
		t.Fatalf("rollback: status %d\n%s%s", status, out, errs)
	}
	if back, err := os.ReadFile(live); err != nil || !bytes.Equal(back, data) {
		t.Errorf("after the rollback the router is not the one before (%v)", err)
	}
}
