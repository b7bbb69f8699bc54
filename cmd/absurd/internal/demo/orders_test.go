package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/absurdgen/absurdgen/examples/orders"
)

func TestDefaultOrders(t *testing.T) {
	t.Parallel()
	list, err := DefaultOrders()
	if err != nil {
		t.Fatal(err)
	}
	large, reminded := 0, 0
	for _, o := range list {
		if o.Cents > orders.ApprovalLimit {
			large++
		}
		if o.ReminderSeconds > 0 {
			reminded++
		}
	}
	if len(list) < 8 || large < 2 || reminded < 2 || large == len(list) || reminded == len(list) {
		t.Errorf("%d orders, %d large, %d with a reminder: not a varied lot", len(list), large, reminded)
	}
}

func TestReadOrders(t *testing.T) {
	t.Parallel()
	path := write(t, `
		[ {"id":"a", "cents":1, "items":[{"sku":"x"},{"sku":"y"}]} ,
		{"id":"b", "cents":200000, "items":[{"sku":"x"}], "reminder_seconds":60}
	] `)
	list, err := ReadOrders(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []orders.Order{
		{ID: "a", Cents: 1, Items: []orders.Item{{SKU: "x"}, {SKU: "y"}}},
		{ID: "b", Cents: 200000, Items: []orders.Item{{SKU: "x"}}, ReminderSeconds: 60},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
}

func TestReadOrdersRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"id":"a","cents":1,"items":[{"sku":"x"}]}`
	order := func(fields string) string { return `[{"id":"a","items":[{"sku":"x"}],` + fields + `}]` }
	for _, c := range []struct {
		name, text string
		at         string
		words      []string
	}{
		{"empty", ``, ":1:1:", []string{"not JSON", `[{"id"`}},
		{"no JSON", "\n  hello", ":2:3:", []string{"not JSON", `[{"id"`}},
		{"cut off", "[\n" + good + ",", ":2:43:", []string{"not JSON", "unexpected end"}},
		{"a comma too many", "[\n" + good + ",\n]", ":3:1:", []string{"not JSON", "']'"}},
		{"more than an array", "[" + good + "]\n[]", ":2:1:", []string{"after top-level value"}},
		{"not an array", "\n " + good, ":2:2:", []string{"not an array"}},
		{"no order", " []", ":1:1:", []string{"no order"}},
		{"not an object", "[" + good + ",\n 7]", ":2:2:", []string{"order 2", "not an object"}},
		{"null", "[null]", ":1:2:", []string{"order 1", "not an object"}},
		{"unknown field", "[" + good + ",\n" + `{"id":"b","price":1}]`, ":2:1:", []string{"order 2", `"price"`, "cents"}},
		{"unknown field of an item", `[{"id":"b","cents":1,"items":[{"name":"x"}]}]`, ":1:2:", []string{"order 1", `"name"`, "sku"}},
		{"no id", `[{"cents":1,"items":[{"sku":"x"}]}]`, ":1:2:", []string{"order 1", `id ""`}},
		{"odd id", `[{"id":"a b","cents":1,"items":[{"sku":"x"}]}]`, ":1:2:", []string{`"a b"`, "letters, digits"}},
		{"NUL in an id", `[{"id":"a\u0000","cents":1,"items":[{"sku":"x"}]}]`, ":1:2:", []string{"letters, digits"}},
		{"long id", `[{"id":"` + strings.Repeat("a", 33) + `","cents":1,"items":[{"sku":"x"}]}]`, ":1:2:", []string{"1 to 32"}},
		{"number as id", `[{"id":7,"cents":1,"items":[{"sku":"x"}]}]`, ":1:8:", []string{"id cannot be number", `"A-1"`}},
		{"one id twice", "[" + good + ",\n" + good + "]", ":2:1:", []string{"order 2", `"a"`, "order 1"}},
		{"no cents", `[{"id":"a","items":[{"sku":"x"}]}]`, ":1:2:", []string{"cents is 0"}},
		{"negative cents", order(`"cents":-5`), ":1:2:", []string{"cents is -5"}},
		{"broken cents", order("\n\"cents\":1.5"), ":2:", []string{"cents", "1.5", "whole number of cents"}},
		{"text as cents", order("\n\"cents\":\"5\""), ":2:", []string{"cents cannot be string"}},
		{"huge cents", order(`"cents":99999999999999999999`), ":1:", []string{"cents"}},
		{"no items", `[{"id":"a","cents":1}]`, ":1:2:", []string{"items has 0"}},
		{"no list of items", `[{"id":"a","cents":1,"items":"x"}]`, ":1:", []string{"items", `[{"sku"`}},
		{"text as item", `[{"id":"a","cents":1,"items":["x"]}]`, ":1:", []string{"items", `[{"sku"`}},
		{"item without sku", `[{"id":"a","cents":1,"items":[{"sku":"x"},{}]}]`, ":1:2:", []string{`items[1].sku ""`}},
		{"too many items", `[{"id":"a","cents":1,"items":[` + strings.Repeat(`{"sku":"x"},`, 50) + `{"sku":"x"}]}]`, ":1:2:", []string{"51", "1 to 50"}},
		{"negative reminder", order(`"cents":1,"reminder_seconds":-1`), ":1:2:", []string{"reminder_seconds is -1"}},
		{"late reminder", order(`"cents":1,"reminder_seconds":61`), ":1:2:", []string{"reminder_seconds is 61", "60"}},
		{"text as reminder", order(`"cents":1,"reminder_seconds":"1"`), ":1:", []string{"reminder_seconds", "whole number of seconds"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := write(t, c.text)
			list, err := ReadOrders(path)
			if err == nil {
				t.Fatalf("accepted: %+v", list)
			}
			text := err.Error()
			if !strings.HasPrefix(text, path+c.at) {
				t.Errorf("not at %s: %s", c.at, text)
			}
			for _, w := range c.words {
				if !strings.Contains(text, w) {
					t.Errorf("%q is missing: %s", w, text)
				}
			}
			if strings.Contains(text, "\n") {
				t.Errorf("more than one line: %s", text)
			}
		})
	}
}

func TestReadOrdersWithoutFile(t *testing.T) {
	t.Parallel()
	for path, reason := range map[string]string{
		filepath.Join(t.TempDir(), "none.json"): "no such file",
		t.TempDir():                             "directory",
	} {
		if _, err := ReadOrders(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%v", err)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "orders.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
