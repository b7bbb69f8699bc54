//go:build !unix

package main

import "syscall"

// unprivileged returns nothing: no other account is needed here.
func unprivileged() (*syscall.SysProcAttr, error) { return nil, nil }

func handOver(string, *syscall.SysProcAttr) error { return nil }
