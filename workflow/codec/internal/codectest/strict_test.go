package codectest

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
)

// decodeStrict compares a strict codec with a json.Decoder that refuses unknown fields.
func decodeStrict(t *testing.T, text []byte) {
	var got, want Order
	err := codecStrictOrder.Decode(text, &got)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	wantErr := d.Decode(&want)
	if _, more := d.Token(); wantErr == nil && more != io.EOF {
		return // a json.Decoder does not mind text behind the value
	}
	switch {
	case err != nil && wantErr == nil && !refused(err):
		t.Fatalf("Decode of %q: %v; a json.Decoder takes it", text, err)
	case err == nil && wantErr != nil:
		t.Fatalf("Decode takes %q; a json.Decoder: %v", text, wantErr)
	case err == nil && !reflect.DeepEqual(got, want):
		t.Fatalf("Decode of %q gives %+v, a json.Decoder gives %+v", text, got, want)
	}
}

func TestStrict(t *testing.T) {
	t.Parallel()
	for _, text := range documents {
		decodeStrict(t, []byte(text))
	}
	for text, want := range map[string]string{
		`{"id":"a","colour":"red"}`:             "codectest.Order.colour: the type has no such field",
		`{"items":[{},{"sku":"a","size":[1]}]}`: "codectest.Order.items[1].size: the type has no such field",
		`{"id":"a","items":[{"sku":"b"}]}`:      "",
	} {
		var v Order
		err := codecStrictOrder.Decode([]byte(text), &v)
		if got := errorText(err); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if err := codecOrder.Decode([]byte(text), &v); err != nil {
			t.Errorf("%s: without strictness: %v", text, err)
		}
	}
	if !strings.Contains(codecStrictOrder.Schema, `"additionalProperties":false`) || strings.Contains(codecOrder.Schema, `"additionalProperties":false`) {
		t.Error("the schema does not say which codec is strict")
	}
	if codecStrictOrder.Fingerprint != codecOrder.Fingerprint {
		t.Error("strictness changes the fingerprint, though not the form of the type")
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
