package absurdgen

import (
	"encoding/json"
	"fmt"
	"go/types"
	"math"
	"strconv"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/payload"
	"golang.org/x/tools/go/types/typeutil"
)

// A jsonShape is the JSON form of a payload type, as a schema and as text whose hash is the fingerprint.
type jsonShape struct {
	root   types.Type
	strict bool           // structs have no other fields
	defs   map[string]any // schemas of structs, by name
	name   typeutil.Map   // struct type to its name in defs
}

func newShape(t types.Type, strict bool) *jsonShape {
	return &jsonShape{root: t, strict: strict, defs: map[string]any{}}
}

// schema returns the JSON Schema of the type.
func (s *jsonShape) schema() string {
	root := s.of(s.root)
	full := map[string]any{"$schema": "https://json-schema.org/draft/2020-12/schema"}
	for k, v := range root {
		full[k] = v
	}
	if len(s.defs) > 0 {
		full["$defs"] = s.defs
	}
	return compact(full)
}

// fingerprint hashes the schema of a type, whose fields are sorted by name: moving a field changes nothing, and neither does a
// new Go name for a type.
func fingerprint(t types.Type) string {
	s := newShape(t, false)
	text := s.schema()
	for i, name := range sortedKeys(s.defs) {
		text = strings.ReplaceAll(text, strconv.Quote("#/$defs/"+name), strconv.Quote("#/$defs/"+strconv.Itoa(i)))
		text = strings.ReplaceAll(text, strconv.Quote(name)+":{\"type\":\"object\"", strconv.Quote(strconv.Itoa(i))+":{\"type\":\"object\"")
	}
	return shortHash(text)
}

func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only maps, slices and strings go in
	}
	return string(text)
}

type object = map[string]any

func (s *jsonShape) of(t types.Type) object {
	switch payload.TypeName(t) {
	case "time.Time":
		return object{"type": "string", "format": "date-time"}
	case "encoding/json.Number":
		return object{"type": "number"}
	case "encoding/json.RawMessage":
		return object{}
	}
	switch payload.HowOf(t) {
	case payload.ByJSON:
		return object{"$comment": payload.TypeName(t)}
	case payload.ByText:
		return object{"type": "string", "$comment": payload.TypeName(t)}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return ofBasic(u)
	case *types.Pointer:
		return orNull(s.of(u.Elem()))
	case *types.Slice:
		if isByteKind(u.Elem()) {
			return object{"type": []string{"string", "null"}, "contentEncoding": "base64"}
		}
		return object{"type": []string{"array", "null"}, "items": s.of(u.Elem())}
	case *types.Array:
		return object{"type": "array", "items": s.of(u.Elem()), "maxItems": u.Len()}
	case *types.Map:
		return object{"type": []string{"object", "null"}, "additionalProperties": s.of(u.Elem())}
	case *types.Struct:
		return object{"$ref": "#/$defs/" + s.structure(t, u)}
	}
	return object{}
}

func (s *jsonShape) structure(t types.Type, u *types.Struct) string {
	if name, ok := s.name.At(t).(string); ok {
		return name
	}
	base := types.TypeString(t, func(p *types.Package) string { return p.Name() })
	if _, literal := types.Unalias(t).(*types.Struct); literal {
		base = "struct"
	}
	base = strings.NewReplacer("[", "-", "]", "", ",", "-", "*", "", "/", ".").Replace(base)
	name := base
	for n := 2; s.defs[name] != nil; n++ {
		name = base + strconv.Itoa(n)
	}
	s.name.Set(t, name)
	def := object{"type": "object"}
	if s.strict {
		def["additionalProperties"] = false
	}
	s.defs[name] = def
	properties := object{}
	for _, f := range payload.Fields(u).Kept {
		properties[f.Name] = s.of(f.Var.Type())
		if _, basic := f.Var.Type().Underlying().(*types.Basic); basic && f.Tag.String {
			properties[f.Name] = object{"type": "string"}
		}
	}
	if len(properties) > 0 {
		def["properties"] = properties
	}
	return name
}

// orNull lets a schema be null too.
func orNull(schema object) object {
	switch kind := schema["type"].(type) {
	case string:
		schema["type"] = []string{kind, "null"}
		return schema
	case []string:
		return schema
	}
	if len(schema) == 0 {
		return schema
	}
	return object{"anyOf": []any{schema, object{"type": "null"}}}
}

func ofBasic(b *types.Basic) object {
	integer := func(lo, hi any) object { return object{"type": "integer", "minimum": lo, "maximum": hi} }
	switch b.Kind() {
	case types.Bool:
		return object{"type": "boolean"}
	case types.String:
		return object{"type": "string"}
	case types.Int8:
		return integer(math.MinInt8, math.MaxInt8)
	case types.Int16:
		return integer(math.MinInt16, math.MaxInt16)
	case types.Int32:
		return integer(math.MinInt32, math.MaxInt32)
	case types.Int, types.Int64:
		return object{"type": "integer"}
	case types.Uint8:
		return integer(0, math.MaxUint8)
	case types.Uint16:
		return integer(0, math.MaxUint16)
	case types.Uint32:
		return integer(0, uint32(math.MaxUint32))
	case types.Uint, types.Uint64:
		return object{"type": "integer", "minimum": 0}
	case types.Float32, types.Float64:
		return object{"type": "number"}
	}
	panic(fmt.Sprintf("absurdgen: a payload cannot hold %s", b))
}
