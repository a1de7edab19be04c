package pickle

import (
	"fmt"
	"slices"
	"strings"
)

// The globals that are known, each under one name.
const (
	pyReconstruct  pyGlobal = "numpy.core.multiarray._reconstruct"
	pyScalar       pyGlobal = "numpy.core.multiarray.scalar"
	pyFromBuffer   pyGlobal = "numpy.core.numeric._frombuffer"
	pyArray        pyGlobal = "numpy.ndarray"
	pyDType        pyGlobal = "numpy.dtype"
	pyFrame        pyGlobal = "pandas.core.frame.DataFrame"
	pyManager      pyGlobal = "pandas.core.internals.managers.BlockManager"
	pyBlock        pyGlobal = "pandas._libs.internals._unpickle_block"
	pyNewIndex     pyGlobal = "pandas.core.indexes.base._new_Index"
	pyIndex        pyGlobal = "pandas.core.indexes.base.Index"
	pyRangeIndex   pyGlobal = "pandas.core.indexes.range.RangeIndex"
	pyBacked       pyGlobal = "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked"
	pyStringArray  pyGlobal = "pandas.core.arrays.string_.StringArray"
	pyStringDType  pyGlobal = "pandas.core.arrays.string_.StringDtype"
	pyNA           pyGlobal = "pandas._libs.missing.NA"
	pySlice        pyGlobal = "builtins.slice"
	pyObject       pyGlobal = "builtins.object"
	pyRebuild      pyGlobal = "copyreg._reconstructor"
	pyEncode       pyGlobal = "_codecs.encode"
	pyInt64Index   pyGlobal = "pandas.core.indexes.numeric.Int64Index"
	pyUInt64Index  pyGlobal = "pandas.core.indexes.numeric.UInt64Index"
	pyFloat64Index pyGlobal = "pandas.core.indexes.numeric.Float64Index"
)

// allowedGlobals are the only names that a pickle may hold. None of them is
// imported or run: this package knows what each would make, so adding one means
// adding code that reads it.
var allowedGlobals = []pyGlobal{pyReconstruct, pyScalar, pyFromBuffer, pyArray, pyDType, pyFrame, pyManager, pyBlock, pyNewIndex,
	pyIndex, pyRangeIndex, pyBacked, pyStringArray, pyStringDType, pyNA, pySlice, pyObject, pyRebuild, pyEncode,
	pyInt64Index, pyUInt64Index, pyFloat64Index}

// global pushes a global that is allowed, and refuses every other by name.
func (p *unpickler) global(module, name string) error {
	known := module
	switch {
	case module == "__builtin__":
		known = "builtins" // of protocols 0 to 2
	case module == "copy_reg":
		known = "copyreg"
	case strings.HasPrefix(module, "numpy._core."): // since numpy 2
		known = "numpy.core." + strings.TrimPrefix(module, "numpy._core.")
	}
	if g := pyGlobal(known + "." + name); slices.Contains(allowedGlobals, g) {
		return p.push(g)
	}
	given := module + "." + name
	if len(given) > 100 {
		given = given[:100] + "..."
	}
	given = strings.Trim(fmt.Sprintf("%+q", given), `"`)
	e := &Error{}
	switch root, _, _ := strings.Cut(module, "."); {
	case module == "pandas", module == "pandas.arrays", root == "pyarrow":
		e.Reason = fmt.Sprintf("byte %d: is a pickle of pandas 3 or of Arrow columns (it names %s), which is not supported", p.op+1, given)
		e.Hint = hintParquet
	case root == "pandas", root == "numpy":
		e.Reason = fmt.Sprintf("byte %d: the pickle names %s, which is not supported", p.op+1, given)
		e.Hint = hintParquet
	default:
		e.Reason = fmt.Sprintf("byte %d: the pickle names %s, which no table needs: it is refused, and nothing was run", p.op+1, given)
		e.Hint = "a pickle can run any program when Python opens it: do not open this one with Python unless you trust its author"
	}
	return e
}
