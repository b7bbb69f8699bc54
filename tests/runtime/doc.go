// Package runtime tests workers on a real PostgreSQL. Where a test claims that something survives a crash, the crash is that of
// a real process: the test binary runs itself as a worker process, see process_test.go. What steps did is counted by the steps
// themselves, in a table that they write through a connection of their own, and never by the runtime.
package runtime
