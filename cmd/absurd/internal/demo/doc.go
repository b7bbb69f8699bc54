// Package demo is what "absurd demo" shows: the orders example on PostgreSQL, with two worker processes of which one is killed
// with SIGKILL in mid-step, and a fake gateway in a process of its own that counts what was really done.
//
// The process that the user started is the stage manager. It starts the server, the gateway and the workers, spawns the orders,
// listens to what the others report, kills, approves, and in the end holds the gateway's ledger against the orders:
//
//	stage manager ──stdin: setup──▶ worker A ──HTTP: charge, reserve, remind──▶ gateway
//	      ▲ ◀──stdout: reports────── worker B ─────────────────────────────────▶   │
//	      └──────────────────────────stdout: effects, GET /ledger──────────────────┘
//
// Every child ends when its stdin does, and so when the stage manager is gone, however it went.
package demo
