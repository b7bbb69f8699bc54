package codectest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/codec"
)

// A subject is one codec without its type.
type subject struct {
	name     string
	compare  func(t *testing.T, r *rand.Rand) // a random value, with json.Marshal and back
	decode   func(t *testing.T, text []byte)  // any text, with json.Unmarshal
	document func() (fingerprint, schema string)
}

func subjects() []subject {
	return []subject{
		of("Order", codecOrder), of("Wide", codecWide), of("Many", codecMany), of("Kinds", codecKinds), of("Options", codecOptions), of("Embedded", codecEmbedded),
		of("Maps", codecMaps), of("Tree", codecTree), of("Marshalers", codecMarshalers), of("Pages", codecPages), of("Names", codecNames), of("Index", codecIndex),
		of("Blob", codecBlob), of("Rate", codecRate), of("Grade", codecGrade), of("Odd", codecOdd), of("string", codecString), of("*Order", codecPtrOrder),
		of("[]Item", codecSliceItem),
	}
}

func of[T any](name string, c codec.Codec[T]) subject {
	return subject{
		name: name,
		compare: func(t *testing.T, r *rand.Rand) {
			var v T
			randomize(reflect.ValueOf(&v).Elem(), r, 0)
			want, wantErr := json.Marshal(v)
			got, err := c.Append([]byte("before"), v)
			if hasNUL(want) && wantErr == nil {
				if err == nil || string(got) != "before" {
					t.Errorf("NUL is accepted in %s", want)
				}
				return
			}
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("Append: %v; json.Marshal: %v", err, wantErr)
			}
			if err != nil {
				if string(got) != "before" {
					t.Errorf("Append returns %q with its error", got)
				}
				return
			}
			if want = append([]byte("before"), want...); !bytes.Equal(got, want) {
				t.Fatalf("Append gives\n%s\njson.Marshal gives\n%s", got, want)
			}
			var back, wantBack T
			if err := c.Decode(got[6:], &back); err != nil {
				if errJSON := json.Unmarshal(got[6:], &wantBack); errJSON == nil {
					t.Fatalf("Decode of %s: %v", got[6:], err)
				}
				return
			}
			if err := json.Unmarshal(got[6:], &wantBack); err != nil {
				t.Fatalf("Decode takes %s, json.Unmarshal does not: %v", got[6:], err)
			}
			if !reflect.DeepEqual(back, wantBack) {
				t.Fatalf("Decode of %s gives %+v, json.Unmarshal gives %+v", got[6:], back, wantBack)
			}
		},
		decode: func(t *testing.T, text []byte) {
			before := bytes.Clone(text)
			var got, want T
			err, wantErr := c.Decode(text, &got), json.Unmarshal(text, &want)
			if !bytes.Equal(text, before) {
				t.Fatalf("Decode has changed its input %q", before)
			}
			switch {
			case err != nil && wantErr == nil && !refused(err):
				t.Fatalf("Decode of %q: %v; json.Unmarshal takes it", text, err)
			case err == nil && wantErr != nil:
				t.Fatalf("Decode takes %q; json.Unmarshal: %v", text, wantErr)
			case err == nil && !reflect.DeepEqual(got, want):
				t.Fatalf("Decode of %q gives %+v, json.Unmarshal gives %+v", text, got, want)
			}
		},
		document: func() (string, string) { return c.Fingerprint, c.Schema },
	}
}

// refused reports whether an error is one of the refusals that the package lists.
func refused(err error) bool {
	var e *codec.Error
	return errors.As(err, &e) && (slices.Contains([]string{"a field comes twice", "a string is not UTF-8", "the string holds a value of another kind"}, e.What) ||
		strings.HasPrefix(e.What, "a field differs in case from "))
}

func hasNUL(text []byte) bool {
	var v any
	return json.Unmarshal(text, &v) == nil && strings.Contains(fmt.Sprintf("%q", v), `\x00`)
}

var texts = []string{"", "a", "plain text", "größe", "<b>&amp;</b>", "quote \" and \\ backslash", "\u2028\u2029", "\xff\xfe", "a\xffb", "\b\f\n\r\t\x01\x1f\x7f", "null", "\\u0000", "😀", "\x00", "5", "true"}

// randomize fills v with values that are hard on a codec.
func randomize(v reflect.Value, r *rand.Rand, depth int) {
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = []time.Time{{}, time.Unix(r.Int64N(1<<33), r.Int64N(1e9)).UTC(), time.Unix(5, 0).In(time.FixedZone("", 5400)), time.Unix(1<<40, 0).UTC()}[r.IntN(4-r.IntN(2))]
		return
	case *netip.Addr:
		*p = []netip.Addr{{}, netip.AddrFrom4([4]byte{1, 2, 3, byte(r.IntN(256))}), netip.MustParseAddr("fe80::1%eth0")}[r.IntN(3)]
		return
	case **big.Int:
		*p = []*big.Int{nil, big.NewInt(r.Int64()), new(big.Int).Lsh(big.NewInt(1), 100)}[r.IntN(3)]
		return
	case *json.RawMessage:
		*p = []json.RawMessage{nil, json.RawMessage(`{ "a" : [1, "<"] }`), json.RawMessage("null"), json.RawMessage("bad")}[r.IntN(4-r.IntN(2))]
		return
	case *json.Number:
		*p = []json.Number{"", "1", "-1.5e+10", "0"}[r.IntN(4)]
		return
	case *Odd:
		p.n = r.IntN(10)
		return
	case *Lazy:
		p.n = r.IntN(10)
		return
	case *Grade:
		*p = Grade(r.IntN(40) - 1)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt([]int64{0, 1, -1, 7, r.Int64(), -r.Int64(), math.MinInt64, math.MaxInt64}[r.IntN(8)])
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint([]uint64{0, 1, 200, r.Uint64(), math.MaxUint64}[r.IntN(5)])
	case reflect.Float32, reflect.Float64:
		v.SetFloat([]float64{0, 1, -1.5, 1e-7, 1e21, 1e20, 123456789.125, r.NormFloat64(), math.SmallestNonzeroFloat64, math.MaxFloat32, math.Copysign(0, -1), 1e-6, 3.4e-10}[r.IntN(13)])
		if r.IntN(500) == 0 {
			v.SetFloat(math.NaN())
		}
	case reflect.String:
		v.SetString(texts[r.IntN(len(texts))])
		if r.IntN(8) > 0 && strings.Contains(v.String(), "\x00") {
			v.SetString("NUL")
		}
	case reflect.Slice:
		if n := r.IntN(5) - 1; n >= 0 && depth < 6 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				randomize(v.Index(i), r, depth+1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			randomize(v.Index(i), r, depth+1)
		}
	case reflect.Map:
		if n := r.IntN(22) - 1; n >= 0 && depth < 4 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n {
				k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				randomize(k, r, depth+1)
				randomize(e, r, depth+1)
				v.SetMapIndex(k, e)
			}
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 && depth < 6 {
			v.Set(reflect.New(v.Type().Elem()))
			randomize(v.Elem(), r, depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				randomize(f, r, depth+1)
			} else if v.Type().Field(i).Anonymous {
				for j := range f.NumField() {
					randomize(f.Field(j), r, depth+1)
				}
			}
		}
	}
}

func TestLikeEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, s := range subjects() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			for range 500 {
				s.compare(t, r)
			}
		})
	}
}

// documents are texts that are hard on a decoder.
var documents = []string{
	`null`, ` { } `, `{"a":}`, `{"a":1,}`, `[1,]`, `[`, `{`, `"`, ``, ` `, `nul`, `nulll`, `true false`, `01`, `-`, `1.`, `1e`, `1e5`, `-0`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ud83d\u0041"`,
	`"\u12"`, `"\x"`, "\"\x01\"", "\"\xff\"", `"\u0000"`, `{"id":"a","id":"b"}`, `{"ID":"a"}`, `{"id":1}`, `{"id":null,"items":null,"placed":null,"reminder":null}`,
	`{"items":[{"sku":"x","count":1e2}]}`, `{"items":[{"count":9223372036854775808}]}`, `{"items":[{}, {"weight":1e999}]}`, `{"placed":"yesterday"}`, `{"unknown":{"deep":[1,{"x":"\u00e9"}]},"id":"x"}`,
	`{"I8":128}`, `{"I8":-128}`, `{"U8":-1}`, `{"U8":-0}`, `{"F32":1e39}`, `{"Bytes":"AQI="}`, `{"Bytes":[1,2,255]}`, `{"Bytes":"*"}`, `{"Bytes":"AQ\nI="}`, `{"Arr":[1,2,3,4,"x"]}`, `{"Arr":[1]}`, `{"Arr":null}`,
	`{"Ptr":null,"PtrPtr":"x"}`, `{"Struct":{"B":[{"C":true},{"C":null}]}}`, `{"qint":"5","quint":"7","qbool":"true","qstr":"\"x\"","qname":"\"y\"","qnumber":"1"}`, `{"qint":5}`, `{"qint":"x"}`, `{"qint":null,"quint":null}`,
	`{"quint":"null"}`, `{"qint":"null"}`, `{"qstr":"x"}`, `{"qint":" 5"}`, `{"qint":""}`, `{"tagged":{"Y":1},"Base":"b","after":5,"Name":"n"}`, `{"Int":{"-5":"a","7":"b"}}`, `{"Int":{"x":"a"}}`, `{"Int":{"1":"a","01":"b"}}`,
	`{"I8":{"300":[]}}`, `{"Addr":{"1.2.3.4":1,"":2}}`, `{"Addr":{"bad":1}}`, `{"Str":{"a":"1","a":"2"}}`, `{"Raw":{"a":[1, 2]},"Num":"12","Odd":null,"POdd":null,"Grade":"grade <5>","Grades":[null,"grade <1>"]}`,
	`{"Num":"x"}`, `{"Num":1.50}`, `{"Grade":5}`, `{"Odd":{"odd":[]}}`, `{"Lazies":[1,2,null]}`, `{"value":"a","kids":[{"value":"b","kids":[]}],"left":{},"named":{"x":null,"y":{}}}`,
	`{"Items":{"items":[{"sku":"a"}],"next":{"items":null,"next":null}}}`, "{\"id\":\"a\"}\n\t\r ", "\v{}", `{"id":"a"} x`, `{"größe":"a","<&>":"b"}`, `{"GRÖSSE":"a"}`, `{"f0":1,"f69":2,"f64":3}`,
	`{"qint":"5 "}`, `{"qint":"5x"}`, `{"qbool":"truex"}`, `{"qstr":"\"x\"y"}`, `{"qfloat":"1.5.5"}`, `{"qnumber":"1 2"}`, `{"x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`,
	strings.Repeat("[", 10001) + strings.Repeat("]", 10001), `{"x":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}`,
}

func TestDecodeLikeEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, s := range subjects() {
		for _, text := range documents {
			s.decode(t, []byte(text))
		}
	}
}

func FuzzDecode(f *testing.F) {
	all := subjects()
	for _, text := range documents {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, s := range all {
			s.decode(t, text)
		}
		decodeStrict(t, text)
	})
}

func FuzzAppend(f *testing.F) {
	all := subjects()
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		for _, s := range all {
			s.compare(t, rand.New(rand.NewPCG(a, b)))
		}
	})
}

// TestDecimals looks at numbers around those that have a short way of their own.
func TestDecimals(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	compare := func(f float64) {
		for _, f := range []float64{f, -f, math.Nextafter(f, 0), math.Nextafter(f, math.Inf(1))} {
			want, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := codec.AppendFloat64(nil, f); err != nil || string(got) != string(want) {
				t.Fatalf("%v is written %q (%v), json.Marshal gives %q", f, got, err, want)
			}
		}
	}
	for _, f := range []float64{0, 0.001, 0.0005, 0.0015, 0.01, 0.1, 0.29, 1, 1.005, 2.675, 999999999.999, 1e9, 1e9 + 0.001, 1e-7, 1e21, math.MaxFloat64 / 2, math.SmallestNonzeroFloat64} {
		compare(f)
	}
	for range 20_000 {
		compare(float64(r.Int64N(1e12)) / 1000)
		compare(float64(r.Int64N(1e7)) / 100)
		compare(math.Abs(r.NormFloat64()) * 1000)
		if f := math.Float64frombits(r.Uint64()); f < math.MaxFloat64 {
			compare(f)
		}
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"items":[{},{},{},{"sku":5}]}`:       "codectest.Order.items[3].sku: expected string, got number",
		`{"items":[{},{"sku":"a","sku":"b"}]}`: "codectest.Order.items[1]: a field comes twice",
		`{"ID":"a"}`:                           "codectest.Order: a field differs in case from id",
		`{"id":"a"`:                            "codectest.Order.id: the text is not JSON",
		`[]`:                                   "codectest.Order: expected object, got array",
		``:                                     "codectest.Order: expected object, got the end of the text",
		`{"cents":1.5}`:                        "codectest.Order.cents: expected a whole number",
		`{"cents":92233720368547758080}`:       "codectest.Order.cents: the number is out of range",
		`{"items":[{"fragile":"yes"}]}`:        "codectest.Order.items[0].fragile: expected bool, got string",
		`{"placed":"yesterday"}`:               "codectest.Order.placed: expected a time such as 2006-01-02T15:04:05Z",
		"{\"id\":\"\xff\"}":                    "codectest.Order.id: a string is not UTF-8",
		`{"id":"a"} {}`:                        "codectest.Order: more text behind the value",
		`{"other":{"x":[1,2,{"y z":nope}]}}`:   `codectest.Order.other.x[2]["y z"]: the text is not JSON`,
		`{"reminder":{"after":{}},"items":"none"}`: "codectest.Order.reminder.after: expected number, got object",
	} {
		var v Order
		if err := codecOrder.Decode([]byte(text), &v); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
	var m Marshalers
	err := codecMarshalers.Decode([]byte(`{"Grades":["grade <1>","secret"]}`), &m)
	var e *codec.Error
	if !errors.As(err, &e) || e.Path != "codectest.Marshalers.Grades[1]" || e.Err == nil || e.Err.Error() != "not a grade" {
		t.Errorf("a marshaler's error is %v", err)
	}
}

func TestAppendErrorsNameThePlace(t *testing.T) {
	t.Parallel()
	nan := Order{Items: []Item{{}, {Weight: math.Inf(1)}}}
	for _, c := range []struct {
		v    Order
		want string
	}{
		{Order{Items: []Item{{SKU: "ok"}, {SKU: "a\x00"}}}, "codectest.Order.items[1].sku: text holds NUL, which jsonb cannot store"},
		{nan, "codectest.Order.items[1].weight: the number is infinite or not a number, which JSON has no form for"},
		{Order{Placed: time.Unix(1<<40, 0)}, "codectest.Order.placed: the value cannot be written: Time.AppendText: year outside of range [0,9999]"},
	} {
		dst, err := codecOrder.Append([]byte("x"), c.v)
		if err == nil || err.Error() != c.want || string(dst) != "x" {
			t.Errorf("got %q, %v\nwant %s", dst, err, c.want)
		}
	}
	if _, err := codecString.Append(nil, `a\u0000`); err != nil {
		t.Errorf("a backslash before u0000 is taken for NUL: %v", err)
	}
}

// TestFingerprints wants every type to have one of its own, and a schema that is JSON.
func TestFingerprints(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, s := range subjects() {
		fingerprint, schema := s.document()
		if other := seen[fingerprint]; other != "" {
			t.Errorf("%s and %s have one fingerprint", s.name, other)
		}
		seen[fingerprint] = s.name
		if !json.Valid([]byte(schema)) || len(fingerprint) != 16 {
			t.Errorf("%s: fingerprint %q, schema %s", s.name, fingerprint, schema)
		}
	}
}
