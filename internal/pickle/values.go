package pickle

import "fmt"

// The values of a pickle are nil, bool, int64, float64, string, and these.
type (
	// pyGlobal is a name that Python would import, such as "numpy.dtype".
	pyGlobal string
	// pyBytes is bytes or a bytearray.
	pyBytes []byte
	// pyText is a long text that is still in the file.
	pyText struct{ at, size int64 }
	// pyBig is the size of an integer of more than 64 bits; its value is not
	// kept.
	pyBig int64
	// pyTuple is a tuple or a frozen set.
	pyTuple []any
	// pyList is a list or a set.
	pyList struct{ items []any }
	// pyDict is a dictionary in the order in which it was written.
	pyDict struct{ keys, values []any }
	// pyCall is what Python would make by calling a global, with the state it
	// would then set.
	pyCall struct {
		of    pyGlobal
		args  pyTuple
		state any
	}
)

// get returns the value of a text key, nil if there is none.
func (d *pyDict) get(key string) any {
	for i := len(d.keys) - 1; i >= 0; i-- {
		if d.keys[i] == any(key) {
			return d.values[i]
		}
	}
	return nil
}

// made returns the class of what a call makes, and the arguments. Protocols 0
// and 1 write it as copyreg._reconstructor(class, object, None).
func (c *pyCall) made() (pyGlobal, pyTuple) {
	if c.of == pyRebuild && len(c.args) > 0 {
		class, _ := c.args[0].(pyGlobal)
		return class, nil
	}
	return c.of, c.args
}

// asCall returns v as a call that makes an object of the class.
func asCall(v any, class pyGlobal) (*pyCall, error) {
	if c, ok := v.(*pyCall); ok {
		if made, _ := c.made(); made == class {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%s instead of %s", kindOf(v), class)
}

// items returns the items of a list or tuple.
func items(v any) []any {
	switch v := v.(type) {
	case *pyList:
		return v.items
	case pyTuple:
		return v
	}
	return nil
}

// kindOf describes a value for errors.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64:
		return "an integer"
	case pyBig:
		return "an integer of more than 64 bits"
	case float64:
		return "a number"
	case string, pyText:
		return "a text"
	case pyBytes:
		return "bytes"
	case pyTuple:
		return "a tuple"
	case *pyList:
		return "a list"
	case *pyDict:
		return "a dictionary"
	case pyGlobal:
		return string(v)
	case *pyCall:
		return "what " + string(v.of) + " makes"
	}
	return "a value"
}
