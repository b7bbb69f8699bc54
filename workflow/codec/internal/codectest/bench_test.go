package codectest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/absurdgen/absurdgen/workflow/codec"
)

func sampleOrder() Order {
	o := Order{ID: "order-000123", Customer: "Ada Lovelace", Cents: 129_900, Placed: time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC), Note: "Ring twice, please.",
		Reminder: &Reminder{After: 72 * time.Hour, Text: "Your order is on its way."}}
	for i := range 8 {
		o.Items = append(o.Items, Item{SKU: fmt.Sprintf("SKU-%05d", i*977), Count: i + 1, Weight: float64(i) * 1.25, Fragile: i%2 == 0})
	}
	return o
}

func sampleWide() (w Wide) {
	r := map[string]any{}
	for i := range 10 {
		r[fmt.Sprintf("name_%d", i)] = fmt.Sprintf("a name of some length, %d", i)
		r[fmt.Sprintf("count_%d", i)] = 1000 * i * i
		r[fmt.Sprintf("rate_%d", i)] = float64(i) / 8
		r[fmt.Sprintf("flag_%d", i)] = i%3 == 0
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(text, &w); err != nil {
		panic(err)
	}
	return w
}

// The benchmarks report how many times faster the codec is than encoding/json, as x_json.

func BenchmarkAppendOrder(b *testing.B) { benchAppend(b, codecOrder, sampleOrder()) }
func BenchmarkAppendWide(b *testing.B)  { benchAppend(b, codecWide, sampleWide()) }
func BenchmarkDecodeOrder(b *testing.B) { benchDecode(b, codecOrder, sampleOrder()) }
func BenchmarkDecodeWide(b *testing.B)  { benchDecode(b, codecWide, sampleWide()) }

func benchAppend[T any](b *testing.B, c codec.Codec[T], v T) {
	var dst []byte
	ratio(b, func() error {
		var err error
		dst, err = c.Append(dst[:0], v)
		return err
	}, func() error {
		_, err := json.Marshal(v)
		return err
	})
}

func benchDecode[T any](b *testing.B, c codec.Codec[T], v T) {
	text, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	ratio(b, func() error {
		var out T
		return c.Decode(text, &out)
	}, func() error {
		var out T
		return json.Unmarshal(text, &out)
	})
}

func ratio(b *testing.B, ours, theirs func() error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := ours(); err != nil {
			b.Fatal(err)
		}
	}
	// The two take turns, so that other work on the machine slows down both.
	best := func(f func() error, least time.Duration) time.Duration {
		start := time.Now()
		for range 100 {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		return min(least, time.Since(start))
	}
	us, them := time.Hour, time.Hour
	for range 300 {
		us, them = best(ours, us), best(theirs, them)
	}
	b.ReportMetric(float64(them)/float64(us), "x_json")
}

func TestAppendDoesNotAllocate(t *testing.T) {
	order, wide, index := sampleOrder(), sampleWide(), Index{"b": 1, "a": 2}
	dst := make([]byte, 0, 1<<14)
	for name, f := range map[string]func() ([]byte, error){
		"Order": func() ([]byte, error) { return codecOrder.Append(dst, order) },
		"Wide":  func() ([]byte, error) { return codecWide.Append(dst, wide) },
		"Index": func() ([]byte, error) { return codecIndex.Append(dst, index) },
	} {
		n := testing.AllocsPerRun(100, func() {
			if _, err := f(); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
