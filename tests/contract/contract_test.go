package contract

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/absurdgen/absurdgen/tests/internal/pgtest"
)

// pin is a case: what is pinned, by the line of lines.txt, and how. A case gets a queue of its own, empty, with the clock frozen.
type pin struct {
	line string
	test func(s *session)
}

// pins are all cases.
func pins() []pin {
	var all []pin
	for _, part := range [][]pin{
		catalogue(), clock(), ids(), queues(), spawning(), claiming(), ending(), suspending(), revoking(), checkpoints(), events(), cleaning(), cron(), randomOptions(),
	} {
		all = append(all, part...)
	}
	return all
}

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

func TestContract(t *testing.T) {
	t.Parallel()
	_, dsn := pgtest.Database(t)
	t.Run("lines", func(t *testing.T) {
		for i, p := range pins() {
			t.Run(p.line, func(t *testing.T) {
				t.Parallel()
				s := newSession(t, dsn, fmt.Sprintf("q%03d", i))
				s.exec("select absurd.create_queue({q})")
				p.test(s)
				if !t.Failed() {
					newSession(t, dsn, s.queue).checkInvariants()
				}
			})
		}
	})
}

// A line of lines.txt is its number and name, as a case's subtest is called, and then what it says.
func TestEveryLineHasACase(t *testing.T) {
	t.Parallel()
	pinned := map[string]int{}
	for _, p := range pins() {
		pinned[p.line]++
	}
	file, err := os.Open("lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), " ")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if pinned[line] == 0 {
			t.Errorf("no case pins %s", lines.Text())
		}
		delete(pinned, line)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for line := range pinned {
		t.Errorf("a case pins %s, which lines.txt does not name", line)
	}
}
