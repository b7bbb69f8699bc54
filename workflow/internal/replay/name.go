package replay

import (
	"strconv"
	"strings"
)

// MaxName is the longest checkpoint name in bytes. The database keeps names in a B-tree, whose entries are limited to about
// 2,700 bytes.
const MaxName = 1024

// name returns the checkpoint name of the next use of durable name and key in the branch, and whether that is a repeat of
// an earlier use. Repeats are told apart by an ordinal, counted within the branch.
func (b *Branch) name(durable, key string) (name string, repeat bool) {
	name = durable
	if key != "" {
		// A doubled # cannot be mistaken for the one that introduces an ordinal.
		name += ":" + strings.ReplaceAll(key, "#", "##")
	}
	n := b.used[name] + 1
	if b.used == nil {
		b.used = make(map[string]int)
	}
	b.used[name] = n
	if n > 1 {
		name += "#" + strconv.Itoa(n)
	}
	if b.path != "" {
		name = b.path + "/" + name
	}
	return name, n > 1
}

// childPath returns the path of the next branch made by b.
func (b *Branch) childPath() string {
	b.forks++
	path := strconv.Itoa(b.forks)
	if b.path != "" {
		path = b.path + "." + path
	}
	return path
}
