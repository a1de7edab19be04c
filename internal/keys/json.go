package keys

// The forms of what carrot keys --json and the admin API answer. docs/formats.md describes
// them, and internal/adminapi/openapi.yaml.

// Clients are several clients.
type Clients struct {
	Schema  string   `json:"schema"`
	Clients []Client `json:"clients"`
}

// One is one client, and a key of it if that was made just now.
type One struct {
	Schema string  `json:"schema"`
	Key    string  `json:"key,omitempty"`
	Client *Client `json:"client"`
}

// Changes are entries of the log of changes.
type Changes struct {
	Schema  string  `json:"schema"`
	Changes []Entry `json:"changes"`
}

// ClientsAnswer returns clients in the form carrot.keys/1.
func ClientsAnswer(all []Client) Clients { return Clients{"carrot.keys/1", append([]Client{}, all...)} }

// OneAnswer returns a client in the form carrot.key/1.
func OneAnswer(c *Client, key string) One { return One{"carrot.key/1", key, c} }

// ChangesAnswer returns changes in the form carrot.key-changes/1.
func ChangesAnswer(all []Entry) Changes {
	return Changes{"carrot.key-changes/1", append([]Entry{}, all...)}
}
