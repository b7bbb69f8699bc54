// Package codec holds what generated payload codecs are made of: functions that append JSON and a decoder that reads it, both
// without reflection.
//
// A generated codec looks like this:
//
//	func appendItem(dst []byte, v *Item) ([]byte, error) {
//		dst = append(dst, `{"sku":`...)
//		dst = codec.AppendString(dst, v.SKU)
//		return append(dst, '}'), nil
//	}
//
//	func decodeItem(d *codec.Decoder, v *Item) {
//		var seen uint64
//		for more := d.Object(); more; more = d.NextField() {
//			switch key := d.Key(); string(key) {
//			case "sku":
//				d.Once(&seen, 0)
//				d.String(&v.SKU)
//			default:
//				d.Unknown(key, "sku")
//			}
//		}
//	}
//
// What is appended equals the output of json.Marshal byte for byte, except that NUL in a string is an error, since
// PostgreSQL's jsonb cannot hold it. What is decoded equals the outcome of json.Unmarshal into a zero value. Refused, although
// json.Unmarshal takes it, are: a field's name in another case; a name, or a map's key, that comes twice; text that is not
// UTF-8; and, in a field with the tag option string, text that is no JSON value, such as "007".
//
// Errors name the place: orders.Order.items[3].sku: expected string, got number. The place is found by reading the text a
// second time, so that the way without errors pays nothing for it.
package codec
