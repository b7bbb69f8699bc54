// Package contract holds no code but its tests: they pin, line by line, the SQL surface that clients, tools and test suites
// made for Absurd rely on.
//
// lines.txt names every line of that surface. A case of TestContract says which line it pins, so that
//
//	go test ./tests/contract -run 'TestContract/7.4.3'
//
// runs what is written about one line, and TestEveryLineHasACase tells which lines nobody has pinned. After each case the
// invariants of section 7.0 are checked on the queue that it used.
package contract
