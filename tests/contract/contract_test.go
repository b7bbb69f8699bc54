package contract

import (
	"bufio"
	"fmt"
	"os"
	"slices"
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
		catalogue(), clock(), ids(), queues(), spawning(), claiming(), ending(), suspending(), revoking(), checkpoints(), events(), cleaning(), cron(), partitions(), randomOptions(),
	} {
		all = append(all, part...)
	}
	return all
}

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

func TestContract(t *testing.T) {
	t.Parallel()
	_, dsn := pgtest.Database(t)
	every := 5 // on partitioned queues, which are slow to make
	if os.Getenv("ABSURD_SOAK") != "" {
		every = 1
	}
	for _, mode := range []string{"unpartitioned", "partitioned"} {
		t.Run(mode, func(t *testing.T) {
			for i, p := range pins() {
				if mode == "partitioned" && (slices.Contains(onUnpartitionedQueues, p.line) || i%every != 0) {
					continue
				}
				t.Run(p.line, func(t *testing.T) {
					t.Parallel()
					dsn := dsn
					if slices.Contains(onAllQueues, p.line) {
						_, dsn = pgtest.Database(t)
					}
					s := newSession(t, dsn, fmt.Sprintf("%c%03d", mode[0], i))
					s.create(mode, "0")
					p.test(s)
					if !t.Failed() {
						s = newSession(t, dsn, s.queue)
						s.findStorage()
						s.checkInvariants()
					}
				})
			}
		})
	}
}

// onUnpartitionedQueues are the lines that say something about unpartitioned queues alone, or about no queue.
var onUnpartitionedQueues = strings.Fields(`
	2.defaults 7.2.create_is_idempotent 7.2.create_repairs 7.2.create_twice_waits_for_nobody 7.2.drop_leaves_the_others 7.2.drop_removes_everything
	7.2.get_queue_policy 7.2.policies_are_stored_together 6.P0001.set_queue_policy 9.unpartitioned_queues_are_ignored 9.drop_detached_partition
	9.drop_detached_partition_without_a_job`)

// onAllQueues are the lines that do something to every queue at a time of their own, or measure what other cases change: each gets a database
// for itself, or it would make partitions under the queues of other cases, and their open transactions would keep dead rows from being vacuumed.
var onAllQueues = strings.Fields(`9.ensure_partitions 13.10.one_queue_stops_no_other 13.21.history_costs_a_claim_nothing`)

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
