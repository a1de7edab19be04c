package judge

import (
	"errors"
	"fmt"
)

// New returns the judge of a configuration. It opens the files that the configuration
// names.
func New(c Config, o Options) (Judge, error) {
	var errs []error
	c.Check("", func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{field}, args...)...))
	})
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return nil, fmt.Errorf("kind: %s cannot judge yet", c.Kind)
}
