package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (c *completionCommand) Help() string {
	return `Example:
  source <(carrot completion bash)`
}

func (c *completionCommand) Run(_ context.Context, t terminal) error {
	parser, err := newParser(terminal{err: io.Discard, out: io.Discard})
	if err != nil {
		return err
	}
	switch c.Shell {
	case "fish":
		fish(t.out, parser.Model.Node, nil)
	case "zsh":
		fmt.Fprint(t.out, "autoload -U +X bashcompinit && bashcompinit\n", bash(parser.Model.Node))
	default:
		fmt.Fprint(t.out, bash(parser.Model.Node))
	}
	return nil
}

// words lists what may follow a command: subcommands and flags.
func words(n *kong.Node) []string {
	var out []string
	for _, child := range n.Children {
		if !child.Hidden {
			out = append(out, child.Name)
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			out = append(out, "--"+f.Name)
		}
	}
	return out
}

// bash writes a completion function that knows the words of every command and
// falls back to file names.
func bash(root *kong.Node) string {
	var cases strings.Builder
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		fmt.Fprintf(&cases, "    %q) words=%q ;;\n", strings.Join(path, " "), strings.Join(words(n), " "))
		for _, child := range n.Children {
			walk(child, append(path[:len(path):len(path)], child.Name))
		}
	}
	walk(root, []string{"carrot"})
	return `_carrot() {
  local cur="${COMP_WORDS[COMP_CWORD]}" path="carrot" word words=""
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*|*/*|*.*) ;; *) [ "$(echo "$path" | wc -w)" -lt 3 ] && path="$path $word" ;; esac
  done
  case "$path" in
` + cases.String() + `  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur") $(compgen -f -- "$cur"))
}
complete -o filenames -F _carrot carrot
`
}

// fish writes one line per subcommand and flag.
func fish(w io.Writer, n *kong.Node, path []string) {
	condition := "__fish_use_subcommand"
	if len(path) > 0 {
		condition = "__fish_seen_subcommand_from " + path[len(path)-1]
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			if len(path) > 0 || f.Name == "help" {
				fmt.Fprintf(w, "complete -c carrot -n %q -l %s -d %q\n", condition, f.Name, f.Help)
			}
		}
	}
	for _, child := range n.Children {
		fmt.Fprintf(w, "complete -c carrot -f -n %q -a %s -d %q\n", condition, child.Name, child.Help)
		fish(w, child, append(path[:len(path):len(path)], child.Name))
	}
}
