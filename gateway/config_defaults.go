package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carrot-router/carrot/internal/wire"
)

// What a provider's kind may be.
const (
	kindOpenAI    = "openai"
	kindAzure     = "azure"
	kindAnthropic = "anthropic"
)

const (
	openAIURL    = "https://api.openai.com/v1"
	anthropicURL = "https://api.anthropic.com/v1"

	adminOff = "off" // as the admin address
)

// builtinPolicies exist without being listed.
var builtinPolicies = []string{"auto", "balanced", "cheap", "quality"}

// resolvePaths makes relative paths relative to a folder.
func (c *Config) resolvePaths(dir string) {
	paths := []*string{&c.Router, &c.Prices, &c.Record.Path}
	for i := range c.Clients {
		paths = append(paths, &c.Clients[i].KeyFile)
	}
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

// fillDefaults sets what the file does not.
func (c *Config) fillDefaults(p *problems) {
	or(p, "listen", &c.Listen, "127.0.0.1:8080")
	or(p, "admin_listen", &c.AdminListen, "127.0.0.1:8081")
	or(p, "record.max_mb", &c.Record.MaxMB, 100)
	orPointer(&c.Record.Keep, 10)
	orPointer(&c.Text.Earlier, 200)
	or(p, "sessions.ttl", &c.Sessions.TTL, 5*time.Minute)
	or(p, "sessions.entries", &c.Sessions.Entries, 50_000)
	c.Timeouts.fill(p, "timeouts", TimeoutConfig{Connect: 5 * time.Second, FirstToken: time.Minute, Total: 10 * time.Minute})
	orPointer(&c.Retry.Retries, 1)
	or(p, "retry.backoff", &c.Retry.Backoff, 250*time.Millisecond)
	or(p, "retry.max_wait", &c.Retry.MaxWait, 2*time.Second)
	orPointer(&c.Retry.Budget, 0.2)
	orPointer(&c.Retry.Fallbacks, 3)
	or(p, "breaker.failures", &c.Breaker.Failures, 5)
	or(p, "breaker.open", &c.Breaker.Open, 30*time.Second)
	or(p, "limits.body_mb", &c.Limits.BodyMB, 20)
	or(p, "limits.header_kb", &c.Limits.HeaderKB, 64)
	or(p, "limits.requests", &c.Limits.Requests, 1000)
	or(p, "limits.read_timeout", &c.Limits.ReadTimeout, 30*time.Second)
	or(p, "limits.write_timeout", &c.Limits.WriteTimeout, 30*time.Second)
	or(p, "limits.shutdown", &c.Limits.Shutdown, 30*time.Second)
	or(p, "log.level", &c.Log.Level, "info")
	for i := range c.Providers {
		c.Providers[i].fillDefaults(p, element("providers", i), c.Timeouts)
	}
	for i := range c.Models {
		or(p, element("models", i)+".upstream", &c.Models[i].Upstream, c.Models[i].Name)
		or(p, element("models", i)+".adjust.output_tokens", &c.Models[i].Adjust.OutputTokens, 1)
	}
	for i := range c.Embeddings {
		or(p, element("embeddings", i)+".upstream", &c.Embeddings[i].Upstream, c.Embeddings[i].Name)
	}
	for _, name := range builtinPolicies {
		if !slices.ContainsFunc(c.Policies, func(policy PolicyConfig) bool { return policy.Name == name }) {
			c.Policies = append(c.Policies, PolicyConfig{Name: name})
		}
	}
	for i := range c.Policies {
		policy, objective := &c.Policies[i], "balanced"
		if policy.Name == "cheap" || policy.Name == "quality" {
			objective = policy.Name
		}
		or(p, element("policies", i)+".objective", &policy.Objective, objective)
		orPointer(&policy.Exploration, c.Exploration)
	}
}

func (c *ProviderConfig) fillDefaults(p *problems, field string, timeouts TimeoutConfig) {
	ownAddress := false
	switch c.Kind {
	case kindOpenAI:
		or(p, field+".base_url", &c.BaseURL, openAIURL)
		u, err := url.Parse(c.BaseURL)
		ownAddress = err == nil && strings.EqualFold(u.Hostname(), "api.openai.com")
	case kindAnthropic:
		or(p, field+".base_url", &c.BaseURL, anthropicURL)
		or(p, field+".api_version", &c.APIVersion, "2023-06-01")
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	or(p, field+".cache_min_tokens", &c.CacheMinTokens, 1024)
	c.Timeouts.fill(p, field+".timeouts", timeouts)
	if c.APIs != nil {
		return
	}
	switch {
	case c.Kind == kindAnthropic:
		c.APIs = []wire.API{wire.Messages}
	case c.Kind == kindAzure || ownAddress:
		c.APIs = []wire.API{wire.Chat, wire.Responses, wire.Embeddings}
	default:
		c.APIs = []wire.API{wire.Chat, wire.Embeddings}
	}
}

func (c *TimeoutConfig) fill(p *problems, field string, others TimeoutConfig) {
	or(p, field+".connect", &c.Connect, others.Connect)
	or(p, field+".first_token", &c.FirstToken, others.FirstToken)
	or(p, field+".total", &c.Total, others.Total)
}

// or sets a field that the file does not give.
func or[T comparable](p *problems, field string, v *T, other T) {
	var zero T
	if *v == zero && !p.given(field) {
		*v = other
	}
}

func orPointer[T any](v **T, other T) {
	if *v == nil {
		*v = &other
	}
}

const (
	minKeyLength = 16
	maxKeyFile   = 4 << 10
)

// hashKeys puts the SHA-256 of every client's key in its place. It calls reading
// with the name of each key file before it is read.
func (c *Config) hashKeys(p *problems, reading func(name string)) {
	for i := range c.Clients {
		client, field := &c.Clients[i], element("clients", i)
		var ways []string
		for _, way := range []string{"key", "key_file", "key_sha256"} {
			if p.given(field + "." + way) {
				ways = append(ways, way)
			}
		}
		switch {
		case len(ways) == 0:
			p.add(field, "has no key: want key, key_file or key_sha256")
		case len(ways) > 1:
			p.add(field+"."+ways[len(ways)-1], "want one of %s, not all", strings.Join(ways, " and "))
		case ways[0] == "key_sha256":
			client.setHash(p, field)
		default:
			key, err := client.Key.Reveal(), error(nil)
			if ways[0] == "key_file" {
				reading(client.KeyFile)
				key, err = readKeyFile(client.KeyFile)
			}
			if err == nil {
				err = checkKey(key)
			}
			if err != nil {
				p.add(field+"."+ways[0], "%v", err)
				break
			}
			client.hash = sha256.Sum256([]byte(key))
			client.KeySHA256 = hex.EncodeToString(client.hash[:])
		}
		client.Key = ""
	}
}

// setHash reads the hash that the file gives.
func (c *ClientConfig) setHash(p *problems, field string) {
	sum, err := hex.DecodeString(c.KeySHA256)
	if err != nil || len(sum) != sha256.Size {
		p.add(field+".key_sha256", "want the key's SHA-256 in 64 hexadecimal digits")
		return
	}
	c.hash = [sha256.Size]byte(sum)
	c.KeySHA256 = hex.EncodeToString(sum)
}

// checkKey refuses keys that can be guessed or that no header can hold. Its errors
// do not show the key.
func checkKey(key string) error {
	if len(key) < minKeyLength {
		return fmt.Errorf("the key has %d characters: want at least %d, hard to guess", len(key), minKeyLength)
	}
	return checkToken(key)
}

// checkToken refuses text that cannot be a word of an HTTP header.
func checkToken(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("has a space, line break or other character that a key cannot have")
	}
	return nil
}

func readKeyFile(path string) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no file %s", path)
	} else if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxKeyFile {
		return "", fmt.Errorf("%s is longer than a key, %d bytes", path, maxKeyFile)
	}
	return strings.TrimSpace(string(data)), nil
}
