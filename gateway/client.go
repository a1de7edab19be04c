package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/carrot-router/carrot/internal/strictyaml"
	"github.com/carrot-router/carrot/internal/wire"
)

// Client is a sender of requests: a team, a program or a person, who has a key.
type Client struct {
	// Name identifies the client in records and metrics.
	Name string
	// Key is the SHA-256 of the client's key.
	Key [sha256.Size]byte
	// Limits restrict what the client may do.
	Limits ClientLimits
	// Labels are written to the records of the client's requests. The map must
	// not be changed.
	Labels map[string]string
}

// ClientLimits are the limits of a client. The zero value has none.
type ClientLimits struct {
	// Policies are the policies and embedding models that the client may use.
	// Empty: all of them, and all models by name.
	Policies []string
	// Rates are how much the client may ask for at a time.
	Rates RateConfig
	// Budgets are what the client may spend, beside the budgets of the configuration.
	Budgets []BudgetConfig
}

// restricted reports whether a client may use only the policies of its limits. A nil
// client, which sent a request that needs no key, may use everything.
func (c *Client) restricted() bool { return c != nil && len(c.Limits.Policies) > 0 }

// Clients finds clients by their keys. It must be safe for concurrent use and should
// not block for long, because every request waits for it.
//
// Requests need a key, unless Clients has a method Required() bool that returns false, as
// a store may before it has any key. They always do if the configuration lists clients. A
// key that is sent without need says who sends the request, if it is known.
type Clients interface {
	// Client returns the client whose key has this SHA-256, or nil if there is
	// none. An error means that the client could not be looked up; the request
	// is then answered with status 500.
	Client(ctx context.Context, key [sha256.Size]byte) (*Client, error)
}

// listedClients are the clients of a configuration.
type listedClients []Client

// Client compares all keys, in constant time.
func (l listedClients) Client(_ context.Context, key [sha256.Size]byte) (*Client, error) {
	found := -1
	for i := range l {
		if subtle.ConstantTimeCompare(key[:], l[i].Key[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return nil, nil
	}
	return &l[found], nil
}

// newClients returns the clients of a prepared configuration.
func newClients(list []ClientConfig) listedClients {
	clients := make(listedClients, len(list))
	for i, c := range list {
		clients[i] = Client{Name: c.Name, Limits: ClientLimits{Policies: c.Policies, Rates: c.Rates}, Labels: c.Labels}
		clients[i].Key, _ = parseHash(c.KeySHA256) // was checked
	}
	return clients
}

// callers are who may send requests.
type callers struct {
	listed listedClients // in the configuration, and looked up first
	found  Clients       // by the program around the gateway; nil: none
	always bool          // requests need a key even if nobody has one
}

// required reports whether requests need a key.
func (c *callers) required() bool {
	switch found := c.found.(type) {
	case nil:
		return c.always || len(c.listed) > 0
	case interface{ Required() bool }:
		return c.always || len(c.listed) > 0 || found.Required()
	}
	return true
}

// Client implements Clients.
func (c *callers) Client(ctx context.Context, key [sha256.Size]byte) (*Client, error) {
	if client, err := c.listed.Client(ctx, key); client != nil || c.found == nil {
		return client, err
	}
	return c.found.Client(ctx, key)
}

// authenticate returns the client that sent a request. Its key is a bearer token or in
// the header x-api-key. If requests need no key and none that is known was sent, the client
// is nil.
func authenticate(ctx context.Context, clients *callers, h http.Header) (*Client, error) {
	required := clients.required()
	message := "no key was sent: send it as Authorization: Bearer KEY, or as x-api-key"
	for _, key := range []string{bearer(h), h.Get("X-Api-Key")} {
		if key = strings.TrimSpace(key); key == "" {
			continue
		}
		client, err := clients.Client(ctx, sha256.Sum256([]byte(key)))
		if err != nil && required {
			return nil, fmt.Errorf("find the client: %w", err)
		}
		if client != nil {
			return client, nil
		}
		message = "the key is unknown"
	}
	if !required {
		return nil, nil
	}
	return nil, &wire.Error{Status: http.StatusUnauthorized, Type: "authentication_error", Code: "invalid_api_key", Message: message}
}

// bearer returns the token in the Authorization header.
func bearer(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return token
}

const (
	minKeyLength = 16
	maxKeyFile   = 4 << 10
)

// hashKeys replaces the key of every client, or the name of its file, by the key's
// SHA-256. It calls reading with the name of each key file before it reads the file.
func (c *Config) hashKeys(p *strictyaml.Problems, reading func(name string)) {
	for i := range c.Clients {
		client, field := &c.Clients[i], strictyaml.Element("clients", i)
		var ways []string
		for _, way := range []struct{ name, value string }{{"key", client.Key.Reveal()}, {"key_file", client.KeyFile}, {"key_sha256", client.KeySHA256}} {
			if way.value != "" || p.Given(field+"."+way.name) {
				ways = append(ways, way.name)
			}
		}
		switch {
		case len(ways) == 0:
			p.Add(field, "has no key: want key, key_file or key_sha256")
		case len(ways) > 1:
			p.Add(field+"."+ways[len(ways)-1], "want only one of %s", strings.Join(ways, " and "))
		case ways[0] == "key_sha256":
			if hash, ok := parseHash(client.KeySHA256); ok {
				client.KeySHA256 = hex.EncodeToString(hash[:])
			} else {
				p.Add(field+".key_sha256", "want the key's SHA-256 in 64 hexadecimal digits")
			}
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
				p.Add(field+"."+ways[0], "%v", err)
				break
			}
			hash := sha256.Sum256([]byte(key))
			client.KeySHA256 = hex.EncodeToString(hash[:])
		}
		client.Key, client.KeyFile = "", ""
	}
}

// parseHash reads a SHA-256 in hexadecimal digits.
func parseHash(text string) (hash [sha256.Size]byte, ok bool) {
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != sha256.Size {
		return hash, false
	}
	return [sha256.Size]byte(sum), true
}

// checkKey refuses keys that are too short or not valid in a header. Its errors do not
// show the key.
func checkKey(key string) error {
	if len(key) < minKeyLength {
		return fmt.Errorf("the key has %d characters: want at least %d that are hard to guess", len(key), minKeyLength)
	}
	return checkToken(key)
}

// checkToken refuses text that is not a single word in ASCII. Its errors do not show
// the text.
func checkToken(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("has a space, line break or other character that is not allowed in a key")
	}
	return nil
}

func readKeyFile(path string) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("file %s does not exist", path)
	} else if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
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
		return "", fmt.Errorf("%s is longer than %d bytes: want a file that holds only the key", path, maxKeyFile)
	}
	return strings.TrimSpace(string(data)), nil
}
