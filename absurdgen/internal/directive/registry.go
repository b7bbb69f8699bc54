package directive

import (
	"reflect"
	"strings"
)

// A verb is one struct of verbs.go.
type verb struct {
	name  string
	typ   reflect.Type
	keys  map[string]int // key to field; none for allow, which is made of other words
	order []string       // keys as declared
}

func (v verb) new() any { return reflect.New(v.typ).Interface() }

func verbs() []verb {
	return []verb{describe[Workflow](), describe[Step](), describe[Event](), describe[Inbox](), describe[State](), describe[Allow]()}
}

// reserved are verbs that the grammar keeps for later, and what to use until then.
var reserved = map[string]string{
	"schedule": "spawn the workflow from a cron job, with an idempotency key made of the time",
	"undo":     "call the step that undoes from the workflow",
}

// meant are words that other tools have for keys of ours.
var meant = map[string]string{
	"retries": "attempts", "retry": "attempts", "maxretries": "attempts", "max_attempts": "attempts", "delay": "backoff", "interval": "backoff",
	"deadline": "timeout", "idempotency": "key", "handle": "as", "task_queue": "queue", "transaction": "tx",
}

func describe[T any]() verb {
	t := reflect.TypeFor[T]()
	v := verb{name: strings.ToLower(t.Name()), typ: t, keys: map[string]int{}}
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("key"); key != "" {
			v.keys[key] = i
			v.order = append(v.order, key)
		}
	}
	return v
}

func lookup(name string) (verb, bool) {
	for _, v := range verbs() {
		if v.name == name {
			return v, true
		}
	}
	return verb{}, false
}

func verbNames() []string {
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	return names
}
