package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Flushes are made of arrays. The driver encodes an array element by element, by reflection and into a buffer that it grows as
// it goes, which was half of all that a worker allocated. These encoders write the same bytes at once. They are registered
// with a worker's own connections only; whatever they do not know is left to the driver.

// registerCodecs has a connection encode the arrays of flushes, and read jsonb, in this way.
func registerCodecs(conn *pgx.Conn) {
	types := conn.TypeMap()
	if t, ok := types.TypeForOID(pgtype.JSONBOID); ok {
		types.RegisterType(&pgtype.Type{Name: t.Name, OID: pgtype.JSONBOID, Codec: jsonbCodec{t.Codec}})
	}
	kept := new(room)
	for _, oid := range []uint32{pgtype.JSONBArrayOID, pgtype.TextArrayOID, pgtype.UUIDArrayOID, pgtype.Int4ArrayOID, pgtype.Int8ArrayOID, pgtype.TimestamptzArrayOID} {
		if t, ok := types.TypeForOID(oid); ok {
			types.RegisterType(&pgtype.Type{Name: t.Name, OID: oid, Codec: arrayCodec{t.Codec, kept}})
		}
	}
}

// jsonbCodec is the driver's, but for reading into what a claim reads: the driver has such values checked by encoding/json,
// and what jsonb holds is JSON.
type jsonbCodec struct{ pgtype.Codec }

// PlanScan is called for each column of a result.
func (c jsonbCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, raw := target.(*json.RawMessage); raw && format == pgtype.TextFormatCode {
		return scanJSON{}
	}
	return c.Codec.PlanScan(m, oid, format, target)
}

type scanJSON struct{}

// Scan is that of [pgtype.ScanPlan].
func (scanJSON) Scan(src []byte, target any) error {
	*target.(*json.RawMessage) = bytes.Clone(src) // null stays nil
	return nil
}

// arrayCodec is the driver's codec of an array type, but for its binary form of the slices that flushes use.
type arrayCodec struct {
	pgtype.Codec
	room *room // of the connection
}

// PlanEncode is called once for each type of value and connection.
func (c arrayCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case []json.RawMessage:
			if oid == pgtype.JSONBArrayOID {
				return encodeArray[json.RawMessage]{c.room, pgtype.JSONBOID, jsonbSize, appendJSONB}
			}
		case []string:
			if oid == pgtype.TextArrayOID {
				return encodeArray[string]{c.room, pgtype.TextOID, func(s string) int { return len(s) }, appendText}
			}
		case []pgtype.UUID:
			return encodeArray[pgtype.UUID]{c.room, pgtype.UUIDOID, fixed[pgtype.UUID](16), appendUUID}
		case []int32:
			if oid == pgtype.Int4ArrayOID {
				return encodeArray[int32]{c.room, pgtype.Int4OID, fixed[int32](4), appendInt4}
			}
		case []int64:
			if oid == pgtype.Int8ArrayOID {
				return encodeArray[int64]{c.room, pgtype.Int8OID, fixed[int64](8), appendInt8}
			}
		case []pgtype.Timestamptz:
			if oid == pgtype.TimestamptzArrayOID {
				return encodeArray[pgtype.Timestamptz]{c.room, pgtype.TimestamptzOID, fixed[pgtype.Timestamptz](8), appendTimestamptz}
			}
		}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

// encodeArray encodes a []T. append appends an element, or reports that it is null.
type encodeArray[T any] struct {
	room    *room
	element uint32
	size    func(T) int
	append  func([]byte, T) (_ []byte, null bool)
}

// Encode is that of [pgtype.EncodePlan].
func (e encodeArray[T]) Encode(value any, buf []byte) ([]byte, error) {
	items := value.([]T)
	if items == nil {
		return nil, nil
	}
	size := 20
	for _, item := range items {
		size += 4 + e.size(item)
	}
	buf = e.room.grow(buf, size)
	buf = binary.BigEndian.AppendUint32(buf, 1) // dimension
	nulls := len(buf)
	buf = binary.BigEndian.AppendUint32(buf, 0)
	buf = binary.BigEndian.AppendUint32(buf, e.element)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(items)))
	buf = binary.BigEndian.AppendUint32(buf, 1) // the first index
	for _, item := range items {
		at := len(buf)
		buf = binary.BigEndian.AppendUint32(buf, 0)
		extended, null := e.append(buf, item)
		if null {
			binary.BigEndian.PutUint32(buf[at:], ^uint32(0)) // -1
			binary.BigEndian.PutUint32(buf[nulls:], 1)
			continue
		}
		buf = extended
		binary.BigEndian.PutUint32(buf[at:], uint32(len(buf)-at-4))
	}
	return buf, nil
}

// room is the memory that a connection's parameters are encoded into, kept from statement to statement. The driver would make it and let it
// grow anew for each: it keeps 256 bytes. It copies the parameters of a statement into its message before it encodes those of another.
type room struct{ kept []byte }

// mostRoom is how much is kept.
const mostRoom = 256 << 10

// grow returns buf, all that is encoded of this statement yet, with room for n bytes more.
func (r *room) grow(buf []byte, n int) []byte {
	need := len(buf) + n
	switch {
	case need <= cap(buf):
		return buf
	case need > cap(r.kept):
		larger := make([]byte, 0, 2*need)
		if cap(larger) > mostRoom {
			return append(larger, buf...)
		}
		r.kept = larger
	}
	// Where buf has left what is kept for a parameter that the driver has encoded, this writes what is there already.
	return append(r.kept[:0], buf...)
}

func fixed[T any](size int) func(T) int { return func(T) int { return size } }

func jsonbSize(data json.RawMessage) int { return 1 + len(data) }

// appendJSONB appends the version of the format and the text.
func appendJSONB(buf []byte, data json.RawMessage) ([]byte, bool) {
	return append(append(buf, 1), data...), data == nil
}

func appendText(buf []byte, s string) ([]byte, bool) { return append(buf, s...), false }

func appendUUID(buf []byte, id pgtype.UUID) ([]byte, bool) {
	return append(buf, id.Bytes[:]...), !id.Valid
}

func appendInt4(buf []byte, n int32) ([]byte, bool) {
	return binary.BigEndian.AppendUint32(buf, uint32(n)), false
}

func appendInt8(buf []byte, n int64) ([]byte, bool) {
	return binary.BigEndian.AppendUint64(buf, uint64(n)), false
}

// epoch is where PostgreSQL's time begins, 2000-01-01, in microseconds of Unix time.
const epoch = 946684800 * 1000000

// appendTimestamptz appends a finite moment: no other is ever sent.
func appendTimestamptz(buf []byte, t pgtype.Timestamptz) ([]byte, bool) {
	return binary.BigEndian.AppendUint64(buf, uint64(t.Time.UnixMicro()-epoch)), !t.Valid
}
