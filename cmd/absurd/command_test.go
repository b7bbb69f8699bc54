package main

import (
	"strings"
	"testing"
)

func TestMisuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  string
		words []string
	}{
		{"", []string{"usage: absurd COMMAND", "demo", "dev", "migrate"}},
		{"fly", []string{`no command "fly"`, "usage: absurd COMMAND", "absurd help"}},
		{"help fly", []string{`no command "fly"`, "absurd help"}},
		{"help demo-worker", []string{`no command "demo-worker"`}},
		{"demo -fast", []string{"-fast", "usage: absurd demo [-orders FILE] [-keep]", "absurd help demo"}},
		{"demo now", []string{`"now"`, "usage: absurd demo"}},
		{"dev now", []string{`"now"`, "usage: absurd dev"}},
		{"migrate", []string{"up, status or plan", "usage: absurd migrate"}},
		{"migrate down", []string{`"down"`, "usage: absurd migrate"}},
		{"migrate up -x", []string{"-x", "usage: absurd migrate"}},
		{"migrate up now", []string{`"now"`, "usage: absurd migrate"}},
		{"migrate up", []string{"DATABASE_URL", "-database-url"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			out, errs, code := absurd(t, "", strings.Fields(c.args)...)
			if code != 2 || out != "" {
				t.Errorf("exit code %d, standard output %q", code, out)
			}
			for _, w := range c.words {
				if !strings.Contains(errs, w) {
					t.Errorf("standard error lacks %q:\n%s", w, errs)
				}
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  string
		words []string
	}{
		{"help", []string{"demo", "dev", "migrate", "DATABASE_URL", "PG_BIN"}},
		{"--help", []string{"usage: absurd COMMAND"}},
		{"help help", []string{"usage: absurd COMMAND", "explain a command"}},
		{"help demo", []string{"-orders FILE", "-keep", "exit\ncode", `"reminder_seconds"`}},
		{"demo -h", []string{"-orders FILE"}},
		{"help dev", []string{"-dir DIR", "export DATABASE_URL"}},
		{"help migrate", []string{"up ", "status ", "plan ", "-database-url URL"}},
		{"migrate plan -help", []string{"-database-url URL"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			out, errs, code := absurd(t, "", strings.Fields(c.args)...)
			if code != 0 || errs != "" {
				t.Errorf("exit code %d, standard error %q", code, errs)
			}
			for _, w := range c.words {
				if !strings.Contains(out, w) {
					t.Errorf("standard output lacks %q:\n%s", w, out)
				}
			}
			for _, line := range strings.Split(out, "\n") {
				if len(line) > 100 {
					t.Errorf("a line of %d characters: %s", len(line), line)
				}
			}
			if strings.Contains(out, "demo-worker") {
				t.Error("a hidden command is shown")
			}
		})
	}
}

// The hidden commands are for the demo alone. Without what it tells them they say so and end.
func TestHiddenCommands(t *testing.T) {
	t.Parallel()
	for _, name := range []string{gatewayName, workerName} {
		_, errs, code := absurd(t, "", name)
		if code != 1 {
			t.Errorf("%s: exit code %d", name, code)
		}
		oneClearLine(t, errs, `run "absurd demo"`)
	}
}
