package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is a process that the stage manager has started: this program again, under a hidden command.
type child struct {
	name    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	stderr  *tail
	waited  chan struct{} // closed when the process is gone
	waitErr error         // how it went; read it after waited
}

// message is a report of a child or, as the last one, that the child is gone.
type message struct {
	from *child
	report
	gone bool
}

// startChild starts the command and has its reports sent to messages until quit is closed.
func startChild(command string, s setup, messages chan<- message, quit <-chan struct{}) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the path of this program is unknown, so that it cannot start itself: %w", err)
	}
	c := &child{name: s.Name, cmd: exec.Command(self, command), stderr: &tail{}, waited: make(chan struct{})}
	c.cmd.Stderr = c.stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s cannot be started: %w", c.name, err)
	}
	go c.listen(stdout, messages, quit)
	if err := json.NewEncoder(c.stdin).Encode(s); err != nil {
		return c, fmt.Errorf("%s ended at once: %w", c.name, err)
	}
	return c, nil
}

// listen passes on what the child reports, and then that it is gone.
func (c *child) listen(stdout io.Reader, messages chan<- message, quit <-chan struct{}) {
	pass := func(m message) {
		select {
		case messages <- m:
		case <-quit:
		}
	}
	lines := json.NewDecoder(stdout)
	for {
		m := message{from: c}
		if err := lines.Decode(&m.report); err != nil {
			break // its end, or a line that a kill has cut off
		}
		pass(m)
	}
	_, _ = io.Copy(io.Discard, stdout)
	c.waitErr = c.cmd.Wait()
	close(c.waited)
	pass(message{from: c, gone: true})
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// kill ends the process with SIGKILL.
func (c *child) kill() error { return c.cmd.Process.Kill() }

// dismiss asks the process to end. What it still reports is passed on.
func (c *child) dismiss() { c.stdin.Close() }

// stop asks the process to end and returns when it has.
func (c *child) stop() {
	c.dismiss()
	select {
	case <-c.waited:
	case <-time.After(3 * time.Second):
		_ = c.kill() // an error says that it has ended by itself meanwhile
		<-c.waited
	}
}

// failure says how a process ended that nobody had told to end.
func (c *child) failure() error {
	switch text := c.stderr.String(); {
	case text != "":
		return fmt.Errorf("the process %s has ended: %s", c.name, text)
	case c.waitErr != nil:
		return fmt.Errorf("the process %s has ended: %w", c.name, c.waitErr)
	}
	return fmt.Errorf("the process %s has ended without a word", c.name)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 2000
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-most):]
	return len(p), nil
}

// String returns what was kept, as one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Split(string(bytes.TrimSpace(t.text)), "\n"), "; ")
}

// readSetup is the child's side: it reads what the child is to do. The context ends when the input does. Signals that a terminal
// sends to all its processes are for the stage manager to deal with.
func readSetup(in io.Reader) (s setup, ended context.Context, err error) {
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	r := bufio.NewReader(in)
	line, err := r.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s)
	}
	if err != nil {
		return s, nil, fmt.Errorf("this command is part of the demo, which starts it by itself: run \"absurd demo\"")
	}
	ended, end := context.WithCancel(context.Background())
	go func() {
		defer end()
		_, _ = io.Copy(io.Discard, r)
	}()
	return s, ended, nil
}
