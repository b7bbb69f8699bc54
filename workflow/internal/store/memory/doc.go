// Package memory is a store that forgets everything when the process ends. It does what the stored procedures do, in a few hundred
// lines that can be read: for tests of workflows without a database, and as a second opinion on what the procedures mean. Where
// the two differ, this one is wrong.
//
//	s := memory.New(time.Now) // in a testing/synctest bubble, or with a clock of the test's own
//	client := workflow.NewClientOn(s, workflow.ClientOptions{})
//
// Every call is one critical section, so it is as if each were a transaction that nobody else ever overlaps: no call answers
// busy, and no wait has to be looked at again. Nothing is indexed: a claim looks at every open task of its queue.
package memory
