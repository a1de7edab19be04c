package importer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// maxListItems is the largest number of items of a list in one row.
const maxListItems = 1 << 16

// cellColumn is a column of a Parquet file whose rows can be read as texts: a plain
// one or a list of texts, numbers or structs of these.
type cellColumn struct {
	name string
	// leaves holds the one leaf of a plain column, or those of a list's items.
	leaves []cellLeaf
	fields []string // of the leaves of structs; nil if there are none
	list   bool
	depth  int // of lists in lists; 0: there are none
	level  int // of a list: the definition level from which there is an item
}

// cellLeaf is a leaf of texts or numbers.
type cellLeaf struct {
	*parquetColumn
	half bool // its numbers have 16 bits, of which the library knows nothing
}

// cellColumns lists the columns of a file: the field b of a struct a is the column
// a.b, as in JSON lines. A column that cannot be read has no leaves.
func (f *parquetFile) cellColumns() []cellColumn {
	var halves []bool // by leaf
	for _, e := range f.pq.Metadata().Schema {
		if e.Type.Valid {
			_, half := e.LogicalType.Value.(*format.Float16Type)
			halves = append(halves, half && e.TypeLength.Valid && e.TypeLength.V == 2 && e.Type.V == format.FixedLenByteArray)
		}
	}
	leaf := func(c *parquetColumn) (cellLeaf, bool) {
		l := cellLeaf{parquetColumn: c}
		if c.Leaf() && c.Index() < len(halves) {
			l.half = halves[c.Index()]
		}
		return l, l.half || isCell(c)
	}
	var all []cellColumn
	var add func(prefix string, c *parquetColumn)
	add = func(prefix string, c *parquetColumn) {
		name := prefix + c.Name()
		if plain, ok := leaf(c); ok && c.MaxRepetitionLevel() == 0 {
			all = append(all, cellColumn{name: name, leaves: []cellLeaf{plain}})
			return
		}
		if list, ok := listColumn(c, leaf); ok {
			list.name = name
			all = append(all, list)
			return
		}
		if lists, ok := nestedLists(c, leaf); ok {
			lists.name = name
			all = append(all, lists)
			return
		}
		if c.Leaf() || c.MaxRepetitionLevel() > 0 || c.Type().LogicalType() != nil || len(all) > maxColumns {
			all = append(all, cellColumn{name: name})
			return
		}
		for _, inner := range c.Columns() {
			add(name+".", inner)
		}
	}
	for _, c := range f.pq.Root().Columns() {
		add("", c)
	}
	return all
}

// listColumn returns how to read a list of plain items or of structs of them.
func listColumn(c *parquetColumn, leaf func(*parquetColumn) (cellLeaf, bool)) (cellColumn, bool) {
	repeated := c
	if !c.Repeated() {
		if l := c.Type().LogicalType(); c.Leaf() || l == nil || len(c.Columns()) != 1 {
			return cellColumn{}, false
		} else if _, ok := l.Value.(*format.ListType); !ok {
			return cellColumn{}, false
		}
		repeated = c.Columns()[0]
	}
	if !repeated.Repeated() || repeated.MaxRepetitionLevel() != 1 {
		return cellColumn{}, false
	}
	list := cellColumn{list: true, level: repeated.MaxDefinitionLevel()}
	item := repeated
	if !repeated.Leaf() && len(repeated.Columns()) == 1 && repeated.Name() != "array" {
		item = repeated.Columns()[0]
	}
	if item.MaxRepetitionLevel() != 1 {
		return cellColumn{}, false
	}
	if item.Leaf() {
		one, ok := leaf(item)
		list.leaves = []cellLeaf{one}
		return list, ok
	}
	for _, field := range item.Columns() {
		if one, ok := leaf(field); ok && field.MaxRepetitionLevel() == 1 {
			list.leaves, list.fields = append(list.leaves, one), append(list.fields, field.Name())
		}
	}
	return list, len(list.leaves) > 0
}

// nestedLists returns how to read lists of lists of plain items.
func nestedLists(c *parquetColumn, leaf func(*parquetColumn) (cellLeaf, bool)) (cellColumn, bool) {
	lists := cellColumn{list: true}
	for ; !c.Leaf(); c = c.Columns()[0] {
		isList := false
		if l := c.Type().LogicalType(); l != nil {
			_, isList = l.Value.(*format.ListType)
		}
		if !isList && !c.Repeated() || len(c.Columns()) != 1 {
			return cellColumn{}, false
		}
		if c.Repeated() {
			lists.level = c.MaxDefinitionLevel()
		}
	}
	if c.Repeated() {
		lists.level = c.MaxDefinitionLevel()
	}
	one, ok := leaf(c)
	lists.leaves, lists.depth = []cellLeaf{one}, c.MaxRepetitionLevel()
	return lists, ok && lists.depth > 1
}

// isCell reports whether a column is a leaf of texts or of numbers that the library
// knows.
func isCell(c *parquetColumn) bool {
	if !c.Leaf() {
		return false
	}
	var logical any
	if l := c.Type().LogicalType(); l != nil {
		logical = l.Value
	}
	kind := c.Type().Kind()
	switch l := logical.(type) {
	case *format.DecimalType:
		return l.Scale >= 0 && l.Scale <= maxScale && (kind == parquet.Int32 || kind == parquet.Int64 || kind == parquet.ByteArray ||
			kind == parquet.FixedLenByteArray && c.Type().Length() <= maxDecimalBytes)
	}
	switch kind {
	case parquet.ByteArray:
		return true
	case parquet.Boolean, parquet.Int32, parquet.Int64, parquet.Float, parquet.Double:
		_, whole := logical.(*format.IntType)
		return logical == nil || whole // dates are stored as integers too
	}
	return false
}

// Limits on decimals. Programs write at most 76 digits.
const (
	maxScale        = 76
	maxDecimalBytes = 64
)

// cell returns a value as text, and whether there is one: null and NaN are none.
func (c *cellLeaf) cell(v parquet.Value) (text string, ok bool) {
	if v.IsNull() {
		return "", false
	}
	if c.half {
		x := halfFloat(binary.LittleEndian.Uint16(v.ByteArray())) // which has two bytes
		return numberText(x, 32), !math.IsNaN(x)
	}
	if l := c.Type().LogicalType(); l != nil {
		if d, ok := l.Value.(*format.DecimalType); ok {
			return decimalText(v, int(d.Scale))
		}
	}
	text = valueText(v)
	return text, text != "" || v.Kind() == parquet.ByteArray
}

// decimalText writes a decimal exactly.
func decimalText(v parquet.Value, scale int) (string, bool) {
	var unscaled big.Int
	switch v.Kind() {
	case parquet.Int32:
		unscaled.SetInt64(int64(v.Int32()))
	case parquet.Int64:
		unscaled.SetInt64(v.Int64())
	default:
		data := v.ByteArray()
		if len(data) == 0 || len(data) > maxDecimalBytes {
			return "", false
		}
		unscaled.SetBytes(data) // big-endian, in two's complement
		if data[0] >= 0x80 {
			unscaled.Sub(&unscaled, new(big.Int).Lsh(big.NewInt(1), uint(8*len(data))))
		}
	}
	digits := new(big.Int).Abs(&unscaled).String()
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	text := digits[:len(digits)-scale]
	if fraction := strings.TrimRight(digits[len(digits)-scale:], "0"); fraction != "" {
		text += "." + fraction
	}
	if unscaled.Sign() < 0 {
		text = "-" + text
	}
	return text, true
}

// halfFloat returns the number that 16 bits of IEEE 754 stand for.
func halfFloat(bits uint16) float64 {
	fraction, exponent := float64(bits&0x3ff), int(bits>>10&0x1f)
	x := math.Ldexp(1+fraction/1024, exponent-15)
	switch {
	case exponent == 0:
		x = math.Ldexp(fraction, -24)
	case exponent == 31 && fraction != 0:
		return math.NaN()
	case exponent == 31:
		x = math.Inf(1)
	}
	if bits&0x8000 != 0 {
		return -x
	}
	return x
}

// cellReader reads the rows of a column in a row group.
type cellReader struct {
	column  *cellColumn
	cursors []*cursor
}

// openCell returns a reader of a column with leaves.
func (g *groupReader) openCell(c *cellColumn) (*cellReader, *parquetColumn, error) {
	r := &cellReader{column: c}
	for _, leaf := range c.leaves {
		cur, err := g.open(leaf.parquetColumn)
		if err != nil {
			return nil, leaf.parquetColumn, err
		}
		r.cursors = append(r.cursors, cur)
	}
	return r, nil, nil
}

// next returns the next row as text, and whether it has a value.
func (r *cellReader) next() (text string, ok bool, err error) {
	if !r.column.list {
		v, err := r.cursors[0].value()
		if err != nil {
			return "", false, err
		}
		text, ok := r.column.leaves[0].cell(v)
		return text, ok, nil
	}
	if r.column.depth > 0 {
		return r.nested()
	}
	var list []any
	for i, c := range r.cursors {
		n := 0
		err := c.row(func(v parquet.Value) error {
			if v.DefinitionLevel() < r.column.level {
				return nil // a row without items
			}
			if i == 0 {
				if n == maxListItems {
					return fmt.Errorf("a list has more than the limit of %d items", maxListItems)
				}
				list = append(list, nil)
			}
			if n == len(list) {
				return errors.New("the fields of its structs differ in number")
			}
			r.set(&list[n], i, v)
			n++
			return nil
		})
		if err != nil {
			return "", false, err
		}
		if n != len(list) {
			return "", false, errors.New("the fields of its structs differ in number")
		}
	}
	if list == nil {
		return "", false, nil
	}
	text, ok = cellText(list)
	return text, ok, nil
}

// nested returns the next row of lists of lists as JSON, and whether it has an item.
func (r *cellReader) nested() (text string, ok bool, err error) {
	depth := r.column.depth
	open := make([][]any, depth) // the list of each depth to which items are added
	n := 0
	// end puts the open lists below a depth into those that they are in.
	end := func(above int) {
		for d := depth - 1; d > above; d-- {
			if open[d] != nil {
				open[d-1] = append(open[d-1], open[d])
				open[d] = nil
			}
		}
	}
	err = r.cursors[0].row(func(v parquet.Value) error {
		if level := v.RepetitionLevel(); level > 0 && level < depth {
			end(level - 1)
		}
		if v.DefinitionLevel() < r.column.level {
			return nil // an empty list
		}
		if n++; n > maxListItems {
			return fmt.Errorf("a list has more than the limit of %d items", maxListItems)
		}
		var item any
		r.set(&item, 0, v)
		open[depth-1] = append(open[depth-1], item)
		return nil
	})
	if err != nil || n == 0 {
		return "", false, err
	}
	end(0)
	text, ok = cellText(open[0])
	return text, ok, nil
}

// set sets a value of an item: the item itself, or its i-th field.
func (r *cellReader) set(item *any, i int, v parquet.Value) {
	var value any
	if text, ok := r.column.leaves[i].cell(v); ok {
		value = text
		if number := json.Number(text); v.Kind() != parquet.ByteArray && json.Valid([]byte(text)) {
			value = number
		}
	}
	if r.column.fields == nil {
		*item = value
		return
	}
	if *item == nil {
		*item = make(jsonObject, len(r.column.fields))
	}
	(*item).(jsonObject)[r.column.fields[i]] = value
}
