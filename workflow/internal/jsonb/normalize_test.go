package jsonb_test

import (
	"testing"

	"github.com/absurdgen/absurdgen/workflow/internal/jsonb"
)

// The right sides are what PostgreSQL answers; tests/runtime compares many more with the server itself.
func TestNormalize(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`{"bb":1,"a":2,"aa":{"y":[1,2,{}],"x":null}}`: `{"a": 2, "aa": {"x": null, "y": [1, 2, {}]}, "bb": 1}`,
		`{"a":1,"a":{"b":2},"a":3}`:                   `{"a": 3}`,
		"[ ]":                                         `[]`,
		"[1e2,1.50,1.5e1,-0,-0.0,12e-3,1E+2,0e5,100.0e-1,1.230e2,-1e-7]": `[100, 1.50, 15, 0, 0.0, 0.012, 100, 0, 10.00, 123.0, -0.0000001]`,
		`"\u00e4\/\u2028\u0001\b\f\n\r\t\"\\ä"`:                          "\"ä/\u2028\\u0001\\b\\f\\n\\r\\t\\\"\\\\ä\"",
		`"😀\ud83d\ude00"`:                                                `"😀😀"`,
		` true `:                                                         `true`,
		`1e999999999999`:                                                 `1e999999999999`,
		`["\ud800"]`:                                                     `["\ud800"]`,
		`"\ufffd"`:                                                       "\"\ufffd\"",
		`{"a":`:                                                          `{"a":`,
	} {
		if got := string(jsonb.Normalize([]byte(doc))); got != want {
			t.Errorf("%s:\n got %s\nwant %s", doc, got, want)
		}
	}
}
