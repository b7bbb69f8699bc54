package directive

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Raise returns name with its first letter in upper case, where it has one.
func Raise(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(r)) + name[n:]
}

// Nearest returns the word that text was probably meant to be, or nothing.
func Nearest(text string, words []string) string {
	best, at := "", len(text)/3+2
	for _, w := range words {
		if d := distance(strings.ToLower(text), strings.ToLower(w)); d < at {
			best, at = w, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace on the way from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
