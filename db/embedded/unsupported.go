//go:build !linux && !darwin

package embedded

import (
	"context"
	"fmt"
	"runtime"
)

// hold would be the use of a server.
type hold struct{ run string }

func start(context.Context, Options) (*hold, error) {
	return nil, fmt.Errorf("no private PostgreSQL on %s yet: set DATABASE_URL to a server that you run", runtime.GOOS)
}

func (*hold) release() error        { return nil }
func (*hold) keep() (string, error) { return "", nil }
