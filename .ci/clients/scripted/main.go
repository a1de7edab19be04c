// Command scripted serves the scripts of the simulated providers to gateways:
//
//	scripted SCRIPTS TABLE OUT...
//
// To each folder OUT it writes two files. The file carrot.yaml configures a gateway
// with a policy API/SCRIPT for each script, which falls back to the model standby.
// The file cases.json has, for each script, the request to send and what a client
// must see according to TABLE, which is gateway/testdata/clients.txt. It prints a
// line when the files are written. A script answers calls in sequence, so each OUT
// gets its own copy of every script.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/carrot-router/carrot/internal/simulate"
)

const config = `admin_listen: off
timeouts: {first_token: 1s, total: 2s}
retry: {retries: 1, backoff: 1ms, max_wait: 1ms, budget: 1}
providers:
  - {name: standby, kind: openai, base_url: %[1]s/v1, apis: [chat, responses]}
%[2]smodels:
  - {name: standby, like: gemma-2-2b-it, provider: standby, price: {input: 0.1, output: 0.1}}
%[3]spolicies:
%[4]s`

// oneCase is a script from the point of view of a client.
type oneCase struct {
	API     string         `json:"api"`
	Name    string         `json:"name"`
	Request map[string]any `json:"request"`
	Want    string         `json:"want"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 4 {
		log.Fatal("usage: scripted SCRIPTS TABLE OUT...")
	}
	files, err := filepath.Glob(filepath.Join(os.Args[1], "*", "*.txt"))
	if err != nil || len(files) == 0 {
		log.Fatalf("%d scripts in %s: %v", len(files), os.Args[1], err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(must(os.ReadFile(os.Args[2])))) {
		script, sees, _ := strings.Cut(line, " ")
		want[script] = strings.TrimSpace(sees)
	}
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	url := "http://" + listener.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("/v1/", &simulate.Provider{Models: []simulate.Model{{Name: "standby", OutputTokens: 3}}})
	for i, out := range os.Args[3:] {
		var providers, models, policies strings.Builder
		var cases []oneCase
		for _, file := range files {
			script := must(simulate.ParseScript(must(os.ReadFile(file))))
			api, base := filepath.Base(filepath.Dir(file)), strings.TrimSuffix(filepath.Base(file), ".txt")
			name, path, kind := api+"/"+base, fmt.Sprintf("/%d/%s/%s/", i, api, base), "openai"
			if api == "messages" {
				kind = "anthropic"
			}
			mux.Handle(path, script)
			fmt.Fprintf(&providers, "  - {name: %s, kind: %s, base_url: %s%sv1, apis: [%s]}\n", name, kind, url, path, api)
			fmt.Fprintf(&models, "  - {name: scripted/%s, like: gpt-4o-2024-08-06, provider: %s, price: {input: 2.5, output: 10}}\n", name, name)
			fmt.Fprintf(&policies, "  - {name: %s, objective: quality, models: [scripted/%s, standby]}\n", name, name)
			c := oneCase{API: api, Name: name, Want: cmp.Or(want[name], want[base])}
			check(json.Unmarshal(script.Request, &c.Request))
			c.Request["model"] = name
			cases = append(cases, c)
		}
		check(os.WriteFile(filepath.Join(out, "carrot.yaml"), fmt.Appendf(nil, config, url, &providers, &models, &policies), 0o644))
		check(os.WriteFile(filepath.Join(out, "cases.json"), must(json.MarshalIndent(cases, "", " ")), 0o644))
	}
	fmt.Println("serving", url)
	log.Fatal(http.Serve(listener, mux))
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
