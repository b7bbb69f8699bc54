package directive

import (
	"fmt"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
)

// A value is the typed right-hand side of one key. Its zero value means that the key was not written.
type value interface {
	// form is how the value is written, for help and messages.
	form() string
	// parse reads text. The mistake it returns has no position yet.
	parse(key, text string) *diag.Problem
}

// Name is a durable name.
type Name string

// Queue is the name of a queue.
type Queue string

// Handle is the Go name of a generated handle.
type Handle string

// Count is a positive number.
type Count int

// Duration is a positive time.
type Duration time.Duration

// Range is a pair of durations, the lower first.
type Range struct{ Lo, Hi time.Duration }

// Flag is a key without a value.
type Flag bool

// Label is free text.
type Label string

// Unknown says what is done about fields that a type has not.
type Unknown string

// The policies for unknown fields. The zero value ignores them.
const (
	IgnoreUnknown Unknown = "ignore"
	RefuseUnknown Unknown = "refuse"
)

// Path leads from a payload to a field or method, through exported Go names.
type Path []string

const (
	maxNameBytes  = 200
	maxQueueBytes = 57
	maxLabelBytes = 100
	maxCount      = 1_000_000 // more is surely a slip
)

var durableName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// CheckName says what is wrong with a durable name, or nothing.
func CheckName(name string) string {
	switch {
	case len(name) > maxNameBytes:
		return fmt.Sprintf("is %d bytes long, and %d are allowed", len(name), maxNameBytes)
	case !durableName.MatchString(name):
		return "is not a letter followed by letters, digits, dots, dashes and underscores"
	}
	return ""
}

func (*Name) form() string { return "NAME" }

func (n *Name) parse(key, text string) *diag.Problem {
	if wrong := CheckName(text); wrong != "" {
		return mistake(diag.BadName, "try "+key+"="+repairName(text), "%s %q %s", key, text, wrong)
	}
	*n = Name(text)
	return nil
}

func repairName(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case durableName.MatchString("a" + string(r)):
			b.WriteRune(r)
		case b.Len() > 0:
			b.WriteByte('-')
		}
		if b.Len() == maxNameBytes {
			break
		}
	}
	if name := strings.TrimLeft(b.String(), "0123456789_.-"); name != "" {
		return name
	}
	return "orders.fulfil"
}

func (*Queue) form() string { return "QUEUE" }

func (q *Queue) parse(key, text string) *diag.Problem {
	switch {
	case len(text) > maxQueueBytes:
		return mistake(diag.BadQueue, "use a shorter name", "%s %q is %d bytes long, and %d are allowed", key, text, len(text), maxQueueBytes)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return mistake(diag.BadQueue, "use UTF-8 text without NUL", "%s %q cannot be stored in PostgreSQL", key, text)
	}
	*q = Queue(text)
	return nil
}

func (*Handle) form() string { return "GoName" }

func (h *Handle) parse(key, text string) *diag.Problem {
	if !token.IsIdentifier(text) || !token.IsExported(text) {
		return mistake(diag.BadHandle, "try "+key+"="+Raise(repairIdent(text)), "%s %q is not an exported Go identifier", key, text)
	}
	*h = Handle(text)
	return nil
}

func repairIdent(text string) string {
	var b strings.Builder
	for _, r := range text {
		if token.IsIdentifier("A" + string(r)) {
			b.WriteRune(r)
		}
	}
	if id := strings.TrimLeft(b.String(), "0123456789_"); id != "" && token.IsExported(Raise(id)) {
		return id
	}
	return "Handle"
}

func (*Count) form() string { return "N" }

func (c *Count) parse(key, text string) *diag.Problem {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxCount {
		return mistake(diag.BadCount, "try "+key+"=5", "%s %q is not a whole number from 1 to %d", key, text, maxCount)
	}
	*c = Count(n)
	return nil
}

func (*Duration) form() string { return "DURATION" }

func (d *Duration) parse(key, text string) *diag.Problem {
	v, wrong := duration(text)
	if wrong != "" {
		return mistake(diag.BadDuration, "try "+key+"="+repairDuration(text, "30s"), "%s %q %s", key, text, wrong)
	}
	*d = Duration(v)
	return nil
}

func (*Range) form() string { return "LO..HI" }

func (r *Range) parse(key, text string) *diag.Problem {
	lo, hi, ok := strings.Cut(text, "..")
	if !ok || strings.HasPrefix(hi, ".") {
		if !ok {
			if lo, hi, ok = strings.Cut(text, "-"); !ok {
				hi = lo
			}
		}
		return mistake(diag.BadRange, "try "+key+"="+repairRange(lo, strings.TrimLeft(hi, ".")), "%s %q is not LO..HI", key, text)
	}
	low, wrong := duration(lo)
	high, alsoWrong := duration(hi)
	switch {
	case wrong != "" || alsoWrong != "":
		bad := lo
		if wrong == "" {
			bad, wrong = hi, alsoWrong
		}
		return mistake(diag.BadRange, "try "+key+"="+repairRange(lo, hi), "%s %q: %q %s", key, text, bad, wrong)
	case low > high:
		return mistake(diag.BadRange, "try "+key+"="+repairRange(lo, hi), "%s %q has its lower end above its upper end", key, text)
	}
	*r = Range{low, high}
	return nil
}

func repairRange(lo, hi string) string {
	lo, hi = repairDuration(lo, "2s"), repairDuration(hi, "1m")
	low, _ := duration(lo)
	if high, _ := duration(hi); low > high {
		lo, hi = hi, lo
	}
	return lo + ".." + hi
}

func isDuration(text string) bool {
	_, wrong := duration(text)
	return wrong == ""
}

func duration(text string) (d time.Duration, wrong string) {
	d, err := time.ParseDuration(text)
	switch _, number := strconv.ParseFloat(text, 64); {
	case number == nil && text != "0":
		return 0, "has no unit"
	case err != nil:
		return 0, "is not a duration such as 300ms, 2s or 1h30m"
	case d <= 0:
		return 0, "is not above zero"
	}
	return d, ""
}

func repairDuration(text, otherwise string) string {
	switch {
	case isDuration(text):
		return text
	case isDuration(text + "s"):
		return text + "s"
	}
	return otherwise
}

func (*Flag) form() string { return "" }

func (*Flag) parse(string, string) *diag.Problem { return nil }

func (*Label) form() string { return "TEXT" }

func (l *Label) parse(key, text string) *diag.Problem {
	switch {
	case len(text) > maxLabelBytes:
		return mistake(diag.BadLabel, "use a shorter one", "%s is %d bytes long, and %d are allowed", key, len(text), maxLabelBytes)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return mistake(diag.BadLabel, "use printable UTF-8 text", "%s %q is not printable text", key, text)
	}
	*l = Label(text)
	return nil
}

func (*Unknown) form() string { return string(IgnoreUnknown + "|" + RefuseUnknown) }

func (u *Unknown) parse(key, text string) *diag.Problem {
	words := []string{string(IgnoreUnknown), string(RefuseUnknown)}
	if !slices.Contains(words, text) {
		fix := "write " + key + "=" + u.form()
		if near := Nearest(text, words); near != "" {
			fix = "try " + key + "=" + near
		}
		return mistake(diag.BadChoice, fix, "%s %q is neither %s nor %s", key, text, words[0], words[1])
	}
	*u = Unknown(text)
	return nil
}

func (*Path) form() string { return "Field.Path" }

func (p *Path) parse(key, text string) *diag.Problem {
	parts := strings.Split(text, ".")
	for _, part := range parts {
		if !token.IsIdentifier(part) {
			return mistake(diag.BadPath, "try "+key+"=ID, or "+key+"=Customer.ID", "%s %q is not a path of Go field names", key, text)
		}
	}
	*p = parts
	return nil
}

func (p Path) String() string { return strings.Join(p, ".") }

func mistake(slug diag.Slug, fix, what string, args ...any) *diag.Problem {
	p := diag.New(token.NoPos, slug, fix, what, args...)
	return &p
}
