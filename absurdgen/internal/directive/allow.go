package directive

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen/internal/diag"
)

// parse reads what stands behind the verb: rules, two dashes, a reason.
func (a *Allow) parse(raw ast.Directive) (problems []diag.Problem) {
	listed, reason, dashed := strings.Cut(" "+raw.Args+" ", " -- ")
	if a.Reason = strings.TrimSpace(reason); a.Reason == "" {
		what := "there is no reason"
		if dashed {
			what = "the reason is empty"
		}
		problems = append(problems, diag.New(raw.ArgsPos, diag.AllowReason, "write //absurd:allow RULE -- and why it does no harm here", "%s", what))
	}
	a.Rules = strings.Fields(listed)
	if len(a.Rules) == 0 {
		return append(problems, diag.New(raw.ArgsPos, diag.AllowRule, "the rules are "+strings.Join(ruleNames(), ", "), "no rule is named"))
	}
	at := 0
	for i, name := range a.Rules {
		at += strings.Index(raw.Args[at:], name)
		pos := raw.ArgsPos + token.Pos(at)
		at += len(name)
		switch {
		case !slices.Contains(ruleNames(), name):
			fix := "the rules are " + strings.Join(ruleNames(), ", ")
			if near := Nearest(name, ruleNames()); near != "" {
				fix = "did you mean " + near + "? " + fix
			}
			problems = append(problems, diag.New(pos, diag.AllowRule, fix, "unknown rule %q", name))
		case slices.Contains(a.Rules[:i], name):
			problems = append(problems, diag.New(pos, diag.RepeatedKey, "write "+name+" once", "%s is written twice", name))
		}
	}
	return problems
}

func ruleNames() []string {
	var names []string
	for _, r := range rules() {
		names = append(names, r.name)
	}
	return names
}
