// Package house holds the rules that keep the repository readable: who may import whom, where SQL may stand, how long a file may be, that
// exported names are documented, and that the README's sample compiles.
package house
