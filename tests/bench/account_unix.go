//go:build unix

package main

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// unprivileged returns the account for the pooler where this process is root, which PgBouncer refuses to be.
func unprivileged() (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// handOver gives the file to the account.
func handOver(name string, account *syscall.SysProcAttr) error {
	if account == nil {
		return nil
	}
	return os.Chown(name, int(account.Credential.Uid), int(account.Credential.Gid))
}
