package workflow

import "sync"

// returned is where the attempts at steps leave what they came to, for their pass to take. Nobody waits to leave something there: an
// attempt that was given up, or whose pass is parked, must not hold its slot until somebody takes notice.
type returned struct {
	mu    sync.Mutex
	ends  []attempted
	taken []attempted   // the room of what was taken last, to be used again
	told  bool          // something has become of the task: see look
	some  chan struct{} // there is something to take
}

func (r *returned) leave(a attempted) {
	r.mu.Lock()
	r.ends = append(r.ends, a)
	r.mu.Unlock()
	poke(r.some)
}

func (r *returned) tell() {
	r.mu.Lock()
	r.told = true
	r.mu.Unlock()
	poke(r.some)
}

// take returns all that was left; it is good until the next take.
func (r *returned) take() (ends []attempted, told bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ends, told = r.ends, r.told
	clear(r.taken)
	r.ends, r.taken, r.told = r.taken[:0], ends, false
	return ends, told
}
