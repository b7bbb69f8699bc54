//go:build linux || darwin

package embedded

import (
	"os/exec"
	"testing"
)

func TestKeep(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"ephemeral": {}, "persistent": {Dir: initializedDir(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := startUser(t, o, nil)
			command := u.ask("keep")
			u.kill()
			eventually(t, "the supervisor knows that no user is left", func() bool {
				u.wantKept()
				return !place{run: u.Run}.inUse()
			})
			if o.Dir != "" { // joining and leaving changes nothing
				other := startUser(t, o, nil)
				if got := other.ask("stop"); got != "stopped" || other.Server != u.Server {
					t.Errorf("server %d, want %d; %s", other.Server, u.Server, got)
				}
			}
			u.wantKept()
			if out, err := exec.Command("/bin/sh", "-c", command).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v %s", command, err, out)
			}
			u.wantGone()
		})
	}
}

// Who stops a server by hand does so for all of its users.
func TestStoppedUnderItsUser(t *testing.T) {
	t.Parallel()
	u := startUser(t, Options{}, nil)
	if out, err := exec.Command("/bin/sh", "-c", u.ask("keep")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	u.wantGone()
	if got := u.ask("stop"); got != "stopped" {
		t.Error(got)
	}
}

func (u *program) wantKept() {
	u.t.Helper()
	mustQuery(u.t, u.DSN, "SELECT 'up'")
}
