// Package storetest holds stores to one meaning. [Run] is a suite of cases that every store must pass, and [RunAsTenant] of those that hold
// also for who may use a single tenant. [Compare] runs one random sequence of operations on two stores and compares every answer: PostgreSQL
// says what is right.
//
//	storetest.Run(t, func(t testing.TB) storetest.Bed {
//		clock := storetest.NewClock()
//		return storetest.Bed{Store: memory.New(clock.Now), Clock: clock}
//	})
//
// Both use a clock of their own, so that leases, sleeps and policies take no time.
package storetest
