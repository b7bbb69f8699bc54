package absurdgen

import (
	"cmp"
	"context"
	"encoding/json"
	"go/types"
	"slices"
	"time"
)

// A Schema is what the payloads of one workflow, step, event, inbox or state look like, as JSON Schema, draft 2020-12.
type Schema struct {
	Kind           string          `json:"kind"` // workflow, step, event, inbox or state
	Name           string          `json:"name"` // durable
	In             json.RawMessage `json:"in,omitempty"`
	InFingerprint  string          `json:"in_fingerprint,omitempty"` // of the type, as in generated code
	Out            json.RawMessage `json:"out,omitempty"`
	OutFingerprint string          `json:"out_fingerprint,omitempty"`
}

// Schemas describes the payloads of the packages that the patterns match, sorted by kind and name. It writes nothing,
// and asks for no current lock.
func Schemas(ctx context.Context, opts Options) ([]Schema, error) {
	p, err := opts.plan(ctx, settings{codecs: emitCodecs}, &stopwatch{last: time.Now(), report: opts.Progress})
	if err != nil {
		return nil, err
	}
	var all []Schema
	for _, u := range p.units {
		if !u.pkg.named {
			continue
		}
		for _, h := range u.handles() {
			s := Schema{Kind: h.d.Verb, Name: h.durable}
			describe := func(t types.Type) (json.RawMessage, string) {
				if t == nil {
					return nil, ""
				}
				return json.RawMessage(newShape(t, h.refusesUnknown()).schema()), fingerprint(t)
			}
			s.In, s.InFingerprint = describe(h.in)
			s.Out, s.OutFingerprint = describe(h.out)
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Schema) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return all, nil
}
