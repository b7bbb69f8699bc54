package demo

import (
	"bytes"
	_ "embed" // for the default orders
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/absurdgen/absurdgen/examples/orders"
)

//go:embed orders.json
var defaultOrders []byte

// DefaultOrders returns the orders that the demo runs when it is given none.
func DefaultOrders() ([]orders.Order, error) { return parseOrders("orders.json", defaultOrders) }

// ReadOrders reads a JSON array of orders from a file. The error is one line that says where the file is wrong and what to
// write instead.
func ReadOrders(path string) ([]orders.Order, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return nil, fmt.Errorf("orders file %s cannot be read: %w: name a file that holds %s", path, err, shape)
	}
	return parseOrders(path, text)
}

// shape is what an orders file looks like.
const shape = `a JSON array such as [{"id": "A-1", "cents": 4990, "items": [{"sku": "mug"}], "reminder_seconds": 2}]`

// What an order may hold, so that the demo ends soon and its table fits a terminal.
const (
	maxName     = 32
	maxItems    = 50
	maxCents    = 100_000_000_00
	maxReminder = 60
)

func parseOrders(file string, text []byte) ([]orders.Order, error) {
	p := orderParser{file: file, text: text, seen: make(map[string]int)}
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		return nil, p.invalid(err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, p.at(p.skip(0, " \t\r\n"), "this is not an array of orders: write %s", shape)
	}
	var list []orders.Order
	for dec.More() {
		start := p.skip(int(dec.InputOffset()), " \t\r\n,")
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, p.at(start, "%v", err)
		}
		o, err := p.order(len(list)+1, start, raw)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	if len(list) == 0 {
		return nil, p.at(0, "there is no order in it: write %s", shape)
	}
	return list, nil
}

// orderParser reads the orders of one file.
type orderParser struct {
	file string
	text []byte
	seen map[string]int // number of the order by id
}

// order reads the order with the given number, which begins at offset start of the file.
func (p *orderParser) order(number, start int, raw json.RawMessage) (orders.Order, error) {
	var o orders.Order
	if raw[0] != '{' {
		return o, p.at(start, "order %d is not an object: write %s", number, shape)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return o, p.at(start+int(te.Offset)-1, "order %d: %s cannot be %s: write %s",
				number, te.Field, te.Value, wanted(te.Field))
		}
		return o, p.at(start, "order %d: %s: the fields are id, cents, items (each with a sku) and reminder_seconds",
			number, strings.TrimPrefix(err.Error(), "json: "))
	}
	if err := checkOrder(o); err != nil {
		return o, p.at(start, "order %d: %v", number, err)
	}
	if first, twice := p.seen[o.ID]; twice {
		return o, p.at(start, "order %d: id %q is that of order %d already: give each order an id of its own", number, o.ID, first)
	}
	p.seen[o.ID] = number
	return o, nil
}

// wanted says what to write in a field.
func wanted(field string) string {
	switch {
	case field == "cents":
		return "a whole number of cents, such as 4990"
	case field == "reminder_seconds":
		return "a whole number of seconds, such as 2, or 0 for no reminder"
	case field == "items" || strings.HasPrefix(field, "items") && !strings.HasSuffix(field, "sku"):
		return `an array such as [{"sku": "mug"}]`
	default:
		return `a text such as "A-1"`
	}
}

func checkOrder(o orders.Order) error {
	switch {
	case !isName(o.ID):
		return fmt.Errorf("id %q: write 1 to %d letters, digits and . _ -", o.ID, maxName)
	case o.Cents <= 0 || o.Cents > maxCents:
		return fmt.Errorf("cents is %d: write a whole number from 1 to %d", o.Cents, int64(maxCents))
	case len(o.Items) == 0 || len(o.Items) > maxItems:
		return fmt.Errorf("items has %d entries: write 1 to %d, each like {\"sku\": \"mug\"}", len(o.Items), maxItems)
	case o.ReminderSeconds < 0 || o.ReminderSeconds > maxReminder:
		return fmt.Errorf("reminder_seconds is %d: write 0 for no reminder, or up to %d; the demo waits for it",
			o.ReminderSeconds, maxReminder)
	}
	for i, it := range o.Items {
		if !isName(it.SKU) {
			return fmt.Errorf("items[%d].sku %q: write 1 to %d letters, digits and . _ -", i, it.SKU, maxName)
		}
	}
	return nil
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// invalid is the error of a text that is not JSON.
func (p *orderParser) invalid(err error) error {
	offset := len(p.text)
	if se, ok := errors.AsType[*json.SyntaxError](err); ok && int(se.Offset) <= len(p.text) {
		offset = int(se.Offset) - 1 // it counts the offending byte
	}
	return p.at(offset, "this is not JSON (%v): write %s", err, shape)
}

// skip returns the offset of the first byte from offset on that is none of those in set.
func (p *orderParser) skip(offset int, set string) int {
	return len(p.text) - len(bytes.TrimLeft(p.text[offset:], set))
}

// at is an error at an offset of the file, given as line and column.
func (p *orderParser) at(offset int, format string, args ...any) error {
	before := p.text[:min(max(offset, 0), len(p.text))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Errorf("%s:%d:%d: %s", p.file, line, column, fmt.Sprintf(format, args...))
}
