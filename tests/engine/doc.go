// Package engine tests the SQL engine on a real PostgreSQL: the one that DATABASE_URL names, else a private one.
package engine
