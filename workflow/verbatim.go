package workflow

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"time"

	"github.com/absurdgen/absurdgen/workflow/internal/jsonb"
)

// fidelity says what a type keeps of the JSON that it is read from, beyond the value.
type fidelity struct {
	text bool // possibly the text itself, as json.RawMessage does, or what its own decoder makes of it
	sign bool // the sign of a zero, as floating-point numbers do
}

// fidelityOf looks at all that a payload type is made of.
func fidelityOf[T any]() fidelity {
	var f fidelity
	f.look(reflect.TypeFor[T](), map[reflect.Type]bool{})
	return f
}

func (f *fidelity) look(t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	switch p := reflect.PointerTo(t); {
	case t == reflect.TypeFor[time.Time]():
		return // a string
	case t == reflect.TypeFor[json.Number](), p.Implements(reflect.TypeFor[json.Unmarshaler]()):
		f.text = true
		return
	case p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return // a string
	}
	switch t.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Interface:
		f.sign = true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		f.look(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f.look(t.Field(i).Type, seen)
		}
	}
}

// asStored returns data as the database will give it back, if the type can tell the difference: what a workflow sees of a step that
// has just returned must be what a replay sees.
func (f fidelity) asStored(data []byte) []byte {
	if f.text || f.sign && bytes.Contains(data, []byte("-0")) {
		return jsonb.Normalize(data)
	}
	return data
}
