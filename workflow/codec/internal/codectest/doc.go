// Package codectest holds payload types of every kind with their generated codecs, for the tests that compare them with
// encoding/json. The file codecs_gen.go is written by the test TestCodecs of package absurdgen, with -update.
package codectest
