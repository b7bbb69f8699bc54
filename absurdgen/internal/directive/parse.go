package directive

import (
	"go/ast"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
)

// Tool is the word before the colon.
const Tool = "absurd"

// A Directive is one parsed comment.
type Directive struct {
	Verb string
	Pos  token.Pos            // of the comment
	Args map[string]token.Pos // where each key that was written stands
	Spec any                  // *Workflow, *Step, *Event, *Inbox, *State or *Allow
}

// ArgPos returns the position of a key's word, or of the directive when the key was not written.
func (d *Directive) ArgPos(key string) token.Pos {
	if pos, ok := d.Args[key]; ok {
		return pos
	}
	return d.Pos
}

// Get returns the value of a key, or the zero value where the key was not written or the verb does not know it.
func Get[T any](d *Directive, key string) (v T) {
	known, _ := lookup(d.Verb)
	if field, ok := known.keys[key]; ok {
		return reflect.ValueOf(d.Spec).Elem().Field(field).Interface().(T)
	}
	return v
}

// Mentions reports whether source text can hold a directive, or something that was meant to be one. It is a cheap test
// that spares most files a parse.
func Mentions(src []byte) bool {
	for i := 0; i+len(Tool) < len(src); i++ {
		if src[i]|0x20 == 'a' && strings.EqualFold(string(src[i:i+len(Tool)]), Tool) {
			return true
		}
	}
	return false
}

// Parse reads one comment. It returns nil and no problem for a comment that has nothing to do with this tool, and a
// directive as well as problems when only some of its words are wrong.
func Parse(c *ast.Comment) (*Directive, []diag.Problem) {
	raw, ok := ast.ParseDirective(c.Slash, c.Text)
	if !ok || raw.Tool != Tool {
		if p, ok := nearMiss(c); ok {
			return nil, []diag.Problem{p}
		}
		return nil, nil
	}
	verbPos := raw.Slash + token.Pos(len("//")+len(Tool)+len(":"))
	v, ok := lookup(raw.Name)
	if !ok {
		return nil, []diag.Problem{unknownVerb(verbPos, raw.Name)}
	}
	d := &Directive{Verb: v.name, Pos: raw.Slash, Args: map[string]token.Pos{}, Spec: v.new()}
	if allow, ok := d.Spec.(*Allow); ok {
		return d, allow.parse(raw)
	}
	args, err := raw.ParseArgs()
	if err != nil {
		return d, []diag.Problem{diag.New(raw.ArgsPos, diag.BadQuoting, "close the quote, or leave it out", "the words cannot be read: %v", err)}
	}
	var problems []diag.Problem
	for _, arg := range args {
		if p := d.set(v, arg); p != nil {
			p.Pos = arg.Pos
			problems = append(problems, *p)
		}
	}
	if step, ok := d.Spec.(*Step); ok && step.Timeout > 0 && step.Heartbeat >= step.Timeout {
		p := mistake(diag.HeartbeatLong, "write a heartbeat that is shorter than the timeout, or leave one of them out",
			"the heartbeat of %v never ends an attempt, because the timeout of %v does so before", time.Duration(step.Heartbeat), time.Duration(step.Timeout))
		p.Pos = d.ArgPos("heartbeat")
		problems = append(problems, *p)
	}
	return d, problems
}

func (d *Directive) set(v verb, arg ast.DirectiveArg) *diag.Problem {
	key, text, assigned := strings.Cut(arg.Arg, "=")
	field, known := v.keys[key]
	_, repeated := d.Args[key]
	switch {
	case !known:
		fix := v.name + " knows " + strings.Join(v.order, ", ")
		near := Nearest(key, v.order)
		if known := meant[strings.ToLower(key)]; slices.Contains(v.order, known) {
			near = known
		}
		if near != "" {
			fix = "did you mean " + near + "? " + fix
		}
		return mistake(diag.UnknownKey, fix, "unknown key %q", key)
	case repeated:
		p := mistake(diag.RepeatedKey, "write "+key+" once", "%s is written twice", key).With(d.Args[key], "first written here")
		return &p
	}
	d.Args[key] = arg.Pos
	val := reflect.ValueOf(d.Spec).Elem().Field(field).Addr().Interface().(value)
	switch flag, isFlag := val.(*Flag); {
	case isFlag && assigned:
		*flag = true // as it was meant
		return mistake(diag.FlagValue, "write "+key+" alone, or leave it out", "%s takes no value", key)
	case isFlag:
		*flag = true
		return nil
	case !assigned:
		return mistake(diag.MissingValue, "write "+key+"="+val.form(), "%s has no value", key)
	case text == "":
		return mistake(diag.EmptyValue, "write "+key+"="+val.form()+", or leave "+key+" out", "%s is empty", key)
	case strings.ContainsAny(text[:1], "\"`"):
		return mistake(diag.QuotedValue, `write "`+key+"="+strings.Trim(text, "\"`")+`"`, "the quotes of %s go around the whole word", key)
	}
	return val.parse(key, text)
}

// nearMiss recognises comments that were meant to be directives: with a space, in upper case, in a block comment.
// Prose that begins with the tool's name is left alone unless a verb follows at once.
func nearMiss(c *ast.Comment) (diag.Problem, bool) {
	body, block := strings.CutPrefix(c.Text, "/*")
	if block {
		body = strings.TrimSuffix(body, "*/")
	} else {
		body = strings.TrimPrefix(c.Text, "//")
	}
	body = strings.TrimSpace(body)
	tool, rest, ok := strings.Cut(body, ":")
	if !ok || !strings.EqualFold(tool, Tool) && !strings.EqualFold(tool, Tool+"gen") {
		return diag.Problem{}, false
	}
	name, words, _ := strings.Cut(strings.TrimLeft(rest, " \t"), " ")
	spaced := len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t')
	verb := strings.ToLower(name)
	if _, ok := lookup(verb); !ok && reserved[verb] == "" {
		verb = ""
		if !spaced && !strings.ContainsAny(name, " \t") {
			verb = Nearest(name, verbNames())
		}
	}
	if verb == "" || spaced && !allAssigned(words) {
		return diag.Problem{}, false
	}
	fix := "write //" + Tool + ":" + verb
	if words = strings.TrimSpace(words); words != "" && !strings.Contains(words, "\n") {
		fix += " " + words
	}
	return diag.New(c.Slash, diag.NearMiss, fix, "this comment looks like a directive and is none"), true
}

func allAssigned(words string) bool {
	for _, w := range strings.Fields(words) {
		if !strings.Contains(w, "=") {
			return false
		}
	}
	return true
}

func unknownVerb(pos token.Pos, name string) diag.Problem {
	if why := reserved[name]; why != "" {
		return diag.New(pos, diag.UnsupportedVerb, "remove it; "+why, "%s is not supported yet", name)
	}
	fix := "the verbs are " + strings.Join(verbNames(), ", ")
	if near := Nearest(name, verbNames()); near != "" {
		fix = "did you mean " + near + "? " + fix
	}
	return diag.New(pos, diag.UnknownVerb, fix, "unknown verb %q", name)
}
