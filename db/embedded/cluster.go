//go:build linux || darwin

package embedded

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// initdbArgs make a cluster that is the same on every machine.
func initdbArgs() []string {
	return []string{"-U", superuser, "--auth=trust", "--locale=C", "-E", "UTF8", "--no-instructions"}
}

// initdb makes a cluster in dir, an empty directory of the account.
func initdb(ctx context.Context, acc account, bin binaries, dir string, extra ...string) error {
	args := append(append(initdbArgs(), extra...), "-D", dir)
	out, err := acc.command(ctx, filepath.Join(bin.dir, "initdb"), args...).CombinedOutput()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("initdb: %w", context.Cause(ctx))
	case bytes.Contains(out, []byte("could not look up effective user ID")):
		return fmt.Errorf("initdb needs the user it runs as to have a name, and uid %d has no passwd entry: "+
			"add one, run as another user, or set DATABASE_URL", acc.uid)
	default:
		return fmt.Errorf("initdb: %w: %s", err, strings.Join(strings.Fields(string(out)), " "))
	}
}

// ownDir makes an empty directory for the account, in place of what an interrupted attempt has left there.
func ownDir(acc account, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return acc.own(dir)
}
