package judge

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config says how answers are scored. Which keys are allowed depends on the kind.
type Config struct {
	// Kind is match, choice, number, regexp, json, command or model.
	Kind string `yaml:"kind"`
	// Exact makes match compare texts as they are, except for white space around them.
	Exact bool `yaml:"exact"`
	// Tolerance is the largest difference from the reference that number accepts, as
	// a share of the reference; AbsoluteTolerance is the same as a number.
	Tolerance         float64 `yaml:"tolerance"`
	AbsoluteTolerance float64 `yaml:"absolute_tolerance"`
	// Pattern is the regular expression of regexp. {{reference}} in it stands for the
	// reference.
	Pattern string `yaml:"pattern"`
	// Schema is the file with the JSON schema of json.
	Schema string `yaml:"schema" expand:"env"`
	// Command is the program of command with its arguments.
	Command []string `yaml:"command"`
	// Timeout limits the time of command on one item.
	Timeout time.Duration `yaml:"timeout"`
	// MemoryMB limits the data of each process of command, in MiB.
	MemoryMB int `yaml:"memory_mb"`
	// Network lets command use the network.
	Network bool `yaml:"network"`
	// Model is the name of the model that judges.
	Model string `yaml:"model"`
	// Prompt is the file with the prompt template of model; a built-in one by default.
	Prompt string `yaml:"prompt" expand:"env"`
	// Votes is how often model is asked about an item, in each order: 1 by default.
	Votes int `yaml:"votes"`
	// Pairwise makes model compare the answer with the reference, in both orders.
	Pairwise bool `yaml:"pairwise"`
	// MaxTokens limits a reply of model: 1024 by default.
	MaxTokens int `yaml:"max_tokens"`
}

// Kinds lists the kinds of judges.
func Kinds() []string {
	return []string{"match", "choice", "number", "regexp", "json", "command", "model"}
}

// Limits of a configuration.
const (
	DefaultTimeout   = 10 * time.Second
	DefaultMemoryMB  = 512
	DefaultMaxTokens = 1024
	maxVotes         = 25
)

// keys of a configuration that need a kind.
var ofKind = map[string]string{
	"exact": "match", "tolerance": "number", "absolute_tolerance": "number", "pattern": "regexp", "schema": "json",
	"command": "command", "timeout": "command", "memory_mb": "command", "network": "command",
	"model": "model", "prompt": "model", "votes": "model", "pairwise": "model", "max_tokens": "model",
}

// Check calls add with each field that is wrong and why. at is the path of the
// configuration in its file, such as judge; the fields' paths start with it. It opens
// no file.
func (c *Config) Check(at string, add func(field, format string, args ...any)) {
	field := func(key string) string { return strings.TrimPrefix(at+"."+key, ".") }
	if !slices.Contains(Kinds(), c.Kind) {
		if c.Kind == "" {
			add(field("kind"), "is missing: want one of %s", strings.Join(Kinds(), ", "))
		} else {
			add(field("kind"), "%q is no kind of judge: want one of %s", c.Kind, strings.Join(Kinds(), ", "))
		}
		return
	}
	for _, one := range []struct {
		key string
		set bool
	}{
		{"exact", c.Exact}, {"tolerance", c.Tolerance != 0}, {"absolute_tolerance", c.AbsoluteTolerance != 0},
		{"pattern", c.Pattern != ""}, {"schema", c.Schema != ""}, {"command", len(c.Command) > 0}, {"timeout", c.Timeout != 0},
		{"memory_mb", c.MemoryMB != 0}, {"network", c.Network}, {"model", c.Model != ""}, {"prompt", c.Prompt != ""},
		{"votes", c.Votes != 0}, {"pairwise", c.Pairwise}, {"max_tokens", c.MaxTokens != 0},
	} {
		if kind := ofKind[one.key]; one.set && kind != c.Kind {
			add(field(one.key), "is a key of the kind %s, not of %s", kind, c.Kind)
		}
	}
	switch c.Kind {
	case "number":
		for key, v := range map[string]float64{"tolerance": c.Tolerance, "absolute_tolerance": c.AbsoluteTolerance} {
			if !(v >= 0 && v <= 1e300) {
				add(field(key), "want a number from 0")
			}
		}
	case "regexp":
		if c.Pattern == "" {
			add(field("pattern"), "is missing: want a regular expression in the syntax of RE2")
		} else if _, err := compilePattern(c.Pattern, ""); err != nil {
			add(field("pattern"), "%v", err)
		}
	case "command":
		if len(c.Command) == 0 || c.Command[0] == "" {
			add(field("command"), "is missing: want a list of the program and its arguments")
		}
		if c.Timeout < 0 {
			add(field("timeout"), "want a duration above 0")
		}
		if c.MemoryMB < 0 || c.MemoryMB > 1<<20 {
			add(field("memory_mb"), "want a number of MiB from 1 to %d", 1<<20)
		}
	case "model":
		if c.Model == "" {
			add(field("model"), "is missing: name the model that judges")
		}
		if c.Votes < 0 || c.Votes > maxVotes {
			add(field("votes"), "want a number from 1 to %d", maxVotes)
		}
		if c.MaxTokens < 0 {
			add(field("max_tokens"), "want a number above 0")
		}
	}
}

// compilePattern returns the regular expression of a pattern for a reference.
func compilePattern(pattern, reference string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(strings.ReplaceAll(pattern, "{{reference}}", regexp.QuoteMeta(reference)))
	if err != nil {
		return nil, fmt.Errorf("is no regular expression of RE2: %w", err)
	}
	return re, nil
}
