package codectest

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// Order is the order of the example.
type Order struct {
	ID       string    `json:"id"`
	Customer string    `json:"customer"`
	Cents    int64     `json:"cents"`
	Placed   time.Time `json:"placed"`
	Items    []Item    `json:"items"`
	Note     string    `json:"note,omitempty"`
	Reminder *Reminder `json:"reminder,omitempty"`
}

// Item is one line of an order.
type Item struct {
	SKU     string  `json:"sku"`
	Count   int     `json:"count"`
	Weight  float64 `json:"weight"`
	Fragile bool    `json:"fragile"`
}

// Reminder is sent some time after the order.
type Reminder struct {
	After time.Duration `json:"after"`
	Text  string        `json:"text"`
}

// Wide has many plain fields.
type Wide struct {
	Name0  string  `json:"name_0"`
	Count0 int64   `json:"count_0"`
	Rate0  float64 `json:"rate_0"`
	Flag0  bool    `json:"flag_0"`
	Name1  string  `json:"name_1"`
	Count1 int64   `json:"count_1"`
	Rate1  float64 `json:"rate_1"`
	Flag1  bool    `json:"flag_1"`
	Name2  string  `json:"name_2"`
	Count2 int64   `json:"count_2"`
	Rate2  float64 `json:"rate_2"`
	Flag2  bool    `json:"flag_2"`
	Name3  string  `json:"name_3"`
	Count3 int64   `json:"count_3"`
	Rate3  float64 `json:"rate_3"`
	Flag3  bool    `json:"flag_3"`
	Name4  string  `json:"name_4"`
	Count4 int64   `json:"count_4"`
	Rate4  float64 `json:"rate_4"`
	Flag4  bool    `json:"flag_4"`
	Name5  string  `json:"name_5"`
	Count5 int64   `json:"count_5"`
	Rate5  float64 `json:"rate_5"`
	Flag5  bool    `json:"flag_5"`
	Name6  string  `json:"name_6"`
	Count6 int64   `json:"count_6"`
	Rate6  float64 `json:"rate_6"`
	Flag6  bool    `json:"flag_6"`
	Name7  string  `json:"name_7"`
	Count7 int64   `json:"count_7"`
	Rate7  float64 `json:"rate_7"`
	Flag7  bool    `json:"flag_7"`
	Name8  string  `json:"name_8"`
	Count8 int64   `json:"count_8"`
	Rate8  float64 `json:"rate_8"`
	Flag8  bool    `json:"flag_8"`
	Name9  string  `json:"name_9"`
	Count9 int64   `json:"count_9"`
	Rate9  float64 `json:"rate_9"`
	Flag9  bool    `json:"flag_9"`
}

// Many has more fields than a word has bits.
type Many struct {
	F0  int `json:"f0,omitempty"`
	F1  int `json:"f1,omitempty"`
	F2  int `json:"f2,omitempty"`
	F3  int `json:"f3,omitempty"`
	F4  int `json:"f4,omitempty"`
	F5  int `json:"f5,omitempty"`
	F6  int `json:"f6,omitempty"`
	F7  int `json:"f7,omitempty"`
	F8  int `json:"f8,omitempty"`
	F9  int `json:"f9,omitempty"`
	F10 int `json:"f10,omitempty"`
	F11 int `json:"f11,omitempty"`
	F12 int `json:"f12,omitempty"`
	F13 int `json:"f13,omitempty"`
	F14 int `json:"f14,omitempty"`
	F15 int `json:"f15,omitempty"`
	F16 int `json:"f16,omitempty"`
	F17 int `json:"f17,omitempty"`
	F18 int `json:"f18,omitempty"`
	F19 int `json:"f19,omitempty"`
	F20 int `json:"f20,omitempty"`
	F21 int `json:"f21,omitempty"`
	F22 int `json:"f22,omitempty"`
	F23 int `json:"f23,omitempty"`
	F24 int `json:"f24,omitempty"`
	F25 int `json:"f25,omitempty"`
	F26 int `json:"f26,omitempty"`
	F27 int `json:"f27,omitempty"`
	F28 int `json:"f28,omitempty"`
	F29 int `json:"f29,omitempty"`
	F30 int `json:"f30,omitempty"`
	F31 int `json:"f31,omitempty"`
	F32 int `json:"f32,omitempty"`
	F33 int `json:"f33,omitempty"`
	F34 int `json:"f34,omitempty"`
	F35 int `json:"f35,omitempty"`
	F36 int `json:"f36,omitempty"`
	F37 int `json:"f37,omitempty"`
	F38 int `json:"f38,omitempty"`
	F39 int `json:"f39,omitempty"`
	F40 int `json:"f40,omitempty"`
	F41 int `json:"f41,omitempty"`
	F42 int `json:"f42,omitempty"`
	F43 int `json:"f43,omitempty"`
	F44 int `json:"f44,omitempty"`
	F45 int `json:"f45,omitempty"`
	F46 int `json:"f46,omitempty"`
	F47 int `json:"f47,omitempty"`
	F48 int `json:"f48,omitempty"`
	F49 int `json:"f49,omitempty"`
	F50 int `json:"f50,omitempty"`
	F51 int `json:"f51,omitempty"`
	F52 int `json:"f52,omitempty"`
	F53 int `json:"f53,omitempty"`
	F54 int `json:"f54,omitempty"`
	F55 int `json:"f55,omitempty"`
	F56 int `json:"f56,omitempty"`
	F57 int `json:"f57,omitempty"`
	F58 int `json:"f58,omitempty"`
	F59 int `json:"f59,omitempty"`
	F60 int `json:"f60,omitempty"`
	F61 int `json:"f61,omitempty"`
	F62 int `json:"f62,omitempty"`
	F63 int `json:"f63,omitempty"`
	F64 int `json:"f64,omitempty"`
	F65 int `json:"f65,omitempty"`
	F66 int `json:"f66,omitempty"`
	F67 int `json:"f67,omitempty"`
	F68 int `json:"f68,omitempty"`
	F69 int `json:"f69,omitempty"`
}

// Kinds has a field of every kind.
type Kinds struct {
	Bool      bool
	I         int
	I8        int8
	I16       int16
	I32       int32
	I64       int64
	U         uint
	U8        uint8
	U16       uint16
	U32       uint32
	U64       uint64
	F32       float32
	F64       float64
	S         string
	Named     Name
	Num       Number
	On        On
	Rate      Rate
	Bytes     []byte
	Blob      Blob
	Arr       [3]int
	Octets    [4]byte
	Slice     []string
	Nested    [][]int32
	Ptr       *int
	PtrPtr    **string
	PtrStruct *Item
	Struct    struct {
		A int `json:"a"`
		B []struct{ C *bool }
	}
	Empty struct{}
	D     time.Duration
	T     time.Time
	PT    *time.Time
	HTML  string `json:"<&>"`
	Uni   string `json:"größe"`
}

// Named types of plain kinds.
type (
	Name   string
	Number int16
	On     bool
	Rate   float32
	Blob   []byte
	Names  []Name
	Index  map[Name]int
)

// Options has a field for each tag option.
type Options struct {
	Str      string         `json:"str,omitempty"`
	Int      int            `json:",omitempty"`
	Float    float64        `json:"float,omitempty"`
	Bool     bool           `json:"bool,omitempty"`
	Slice    []int          `json:"slice,omitempty"`
	Map      map[string]int `json:"map,omitempty"`
	Ptr      *int           `json:"ptr,omitempty"`
	Arr      [0]int         `json:"arr,omitempty"`
	Arr2     [2]int         `json:"arr2,omitempty"`
	Struct   Item           `json:"struct,omitempty"`
	Always   int            `json:"always"`
	ZTime    time.Time      `json:"ztime,omitzero"`
	ZPTime   *time.Time     `json:"zptime,omitzero"`
	ZStruct  Item           `json:"zstruct,omitzero"`
	ZFloat   float64        `json:"zfloat,omitzero"`
	ZSlice   []int          `json:"zslice,omitzero"`
	ZArr     [2]string      `json:"zarr,omitzero"`
	ZOwn     Own            `json:"zown,omitzero"`
	ZBoth    []int          `json:"zboth,omitzero,omitempty"`
	QInt     int            `json:"qint,string"`
	QUint    *uint8         `json:"quint,string"`
	QFloat   float32        `json:"qfloat,string,omitempty"`
	QBool    bool           `json:"qbool,string"`
	QStr     string         `json:"qstr,string"`
	QName    *Name          `json:"qname,string"`
	QNumber  json.Number    `json:"qnumber,string"`
	QIgnored []int          `json:"qignored,string"`
	Skipped  int            `json:"-"`
	Dash     int            `json:"-,"`
}

// Own has an IsZero of its own.
type Own struct{ N int }

// IsZero reports whether N is 7.
func (o *Own) IsZero() bool { return o.N == 7 }

// Embedded embeds structs, by value and by pointer, exported and not.
type Embedded struct {
	base
	Item
	*Reminder
	Tagged `json:"tagged"`
	Name
	Last int
}

type base struct {
	Base  string
	Inner struct{ X int }
}

// Tagged is embedded under a name.
type Tagged struct{ Y int }

// Maps has maps with keys of all kinds.
type Maps struct {
	Str   map[string]string
	Name  map[Name]*Item
	Int   map[int]string
	I8    map[int8][]string
	Uint  map[uint64]map[string]bool
	Addr  map[netip.Addr]int
	Any   map[string]map[Number]Item
	Index Index
	Names Names
}

// Tree is recursive in three ways.
type Tree struct {
	Value string           `json:"value"`
	Kids  []Tree           `json:"kids,omitempty"`
	Left  *Tree            `json:"left,omitempty"`
	Named map[string]*Tree `json:"named,omitempty"`
}

// Marshalers has types with methods of their own.
type Marshalers struct {
	Raw    json.RawMessage
	Num    json.Number
	Addr   netip.Addr
	Big    *big.Int
	URL    *url.URL `json:"-"`
	Grade  Grade
	Grades []*Grade
	Odd    Odd
	POdd   *Odd
	Lazies []Lazy
}

// Grade is written as a word.
type Grade int

// MarshalText writes the word.
func (g Grade) MarshalText() ([]byte, error) {
	if g < 0 {
		return nil, errors.New("negative grade")
	}
	return []byte("grade <" + strconv.Itoa(int(g)) + ">"), nil
}

// UnmarshalText reads the word.
func (g *Grade) UnmarshalText(text []byte) error {
	if len(text) < 8 || string(text[:7]) != "grade <" {
		return errors.New("not a grade")
	}
	n, err := strconv.Atoi(string(text[7 : len(text)-1]))
	*g = Grade(n)
	return err
}

// Odd is written as an object with white space and signs that HTML gives a meaning.
type Odd struct{ n int }

// MarshalJSON writes the object.
func (o Odd) MarshalJSON() ([]byte, error) {
	return []byte("{ \"odd\" : [ " + strconv.Itoa(o.n) + ", \"<&>\u2028\" ] }"), nil
}

// UnmarshalJSON reads the object, and null as 1.
func (o *Odd) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		o.n = 1
		return nil
	}
	var v struct{ Odd []any }
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	if len(v.Odd) == 0 {
		return errors.New("not odd")
	}
	f, _ := v.Odd[0].(float64)
	o.n = int(f)
	return nil
}

// Lazy has its methods on the pointer.
type Lazy struct{ n int }

// MarshalJSON writes the number.
func (l *Lazy) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, int64(l.n), 10), nil }

// UnmarshalJSON reads the number.
func (l *Lazy) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &l.n) }

// Page is generic.
type Page[T any] struct {
	Items []T      `json:"items"`
	Next  *Page[T] `json:"next"`
}

// Pages has instances of it.
type Pages struct {
	Items   Page[Item]
	Strings Page[string]
	Deep    Page[Page[map[string]int]]
}
