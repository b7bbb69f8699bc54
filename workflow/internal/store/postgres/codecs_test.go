package postgres

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Every array comes out as the driver would encode it.
func TestArraysAreTheDriversBytes(t *testing.T) {
	t.Parallel()
	driver := pgtype.NewMap()
	id := pgtype.UUID{Bytes: [16]byte{1, 2, 15: 3}, Valid: true}
	now := time.Now()
	for oid, values := range map[uint32][]any{
		pgtype.JSONBArrayOID: {[]json.RawMessage(nil), []json.RawMessage{}, []json.RawMessage{nil}, []json.RawMessage{json.RawMessage(`{"a": 1}`), nil, json.RawMessage(`null`), {}}},
		pgtype.TextArrayOID:  {[]string(nil), []string{}, []string{"", "a", "NULL", strings.Repeat("é", 1000)}},
		pgtype.UUIDArrayOID:  {[]pgtype.UUID(nil), []pgtype.UUID{}, []pgtype.UUID{id, {}, id}},
		pgtype.Int4ArrayOID:  {[]int32(nil), []int32{}, []int32{0, -1, 1 << 30}},
		pgtype.Int8ArrayOID:  {[]int64(nil), []int64{}, []int64{0, -1, 1 << 60}},
		pgtype.TimestamptzArrayOID: {[]pgtype.Timestamptz(nil), []pgtype.Timestamptz{}, []pgtype.Timestamptz{
			{Time: now, Valid: true}, {}, {Time: time.Date(1, 1, 1, 0, 0, 0, 999, time.UTC), Valid: true}, {Time: time.Date(1999, 12, 31, 23, 59, 59, 999999999, time.Local), Valid: true}}},
	} {
		known, _ := driver.TypeForOID(oid)
		codec := arrayCodec{known.Codec, new(room)}
		for _, value := range values {
			plan := codec.PlanEncode(driver, oid, pgtype.BinaryFormatCode, value)
			before := []byte("before")
			got, err := plan.Encode(value, before)
			if err != nil {
				t.Fatal(err)
			}
			want, err := driver.Encode(oid, pgtype.BinaryFormatCode, value, before)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
				t.Errorf("%s of %v:\n got %x\nwant %x", known.Name, value, got, want)
			}
		}
		if codec.PlanEncode(driver, oid, pgtype.TextFormatCode, values[2]) != nil {
			t.Errorf("%s has a plan of its own for the text form", known.Name)
		}
	}
}

// What is encoded of a statement stays as it is while more of it is, whoever gets the memory for that; and the next statement takes the same memory.
func TestRoomIsKept(t *testing.T) {
	t.Parallel()
	var r room
	var first *byte
	for range 3 { // statements
		buf := make([]byte, 0, 8)
		var parts [][]byte
		for i := range byte(20) {
			at := len(buf)
			if i%5 != 4 {
				buf = r.grow(buf, 100)
			} // else as the driver does
			buf = append(buf, bytes.Repeat([]byte{i}, 100)...)
			parts = append(parts, buf[at:])
		}
		for i, p := range parts {
			if !bytes.Equal(p, bytes.Repeat([]byte{byte(i)}, 100)) {
				t.Fatalf("part %d has become %x", i, p)
			}
		}
		first = &r.kept[:1][0]
	}
	if buf := r.grow(nil, 1); &buf[:1][0] != first {
		t.Error("nothing was kept")
	}
	if r.grow(nil, mostRoom); cap(r.kept) > mostRoom {
		t.Errorf("%d bytes are kept", cap(r.kept))
	}
}
