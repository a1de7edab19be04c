package judge

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// New returns the judge of a configuration. It opens the files that the configuration
// names, and finds out whether the system has what a command needs. Its errors name the
// key of the configuration.
func New(c Config, o Options) (Judge, error) {
	var errs []error
	c.Check("", func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	})
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	path := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(o.Dir, name)
	}
	switch c.Kind {
	case "match":
		return matcher{c.Exact}, nil
	case "choice":
		return chooser{}, nil
	case "number":
		return newNumeric(c), nil
	case "regexp":
		j, err := newPattern(c.Pattern)
		return keyed("pattern", j, err)
	case "json":
		j, err := newJSON(path(c.Schema))
		return keyed("schema", j, err)
	case "command":
		if !o.AllowCommands {
			return nil, errors.New("command: a judge that runs a program is off unless commands are allowed")
		}
		j, err := newCommand(c, o.Dir)
		return keyed("command", j, err)
	}
	if o.Asker == nil {
		return nil, errors.New("model: nothing was passed that asks the model")
	}
	if all := kin(c.Model, o.Models); len(all) > 0 && o.Warn != nil {
		o.Warn(fmt.Sprintf("the judge %s and %s come from one maker: judges favour answers of their kin, so compare with people (carrot judge check) or choose another judge",
			c.Model, strings.Join(all, ", ")))
	}
	j, err := newAsked(c, o.Asker, path(c.Prompt))
	return keyed("prompt", j, err)
}

// keyed returns a judge, or an error that names a key.
func keyed[J Judge](key string, j J, err error) (Judge, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return j, nil
}
