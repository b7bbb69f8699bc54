package absurdgen_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/absurdgen/absurdgen/absurdgen"
)

// What "go tool absurdgen ./..." does. Mistakes in the code come all at once, each with its place and what to write instead.
func ExampleRun() {
	dir, err := os.MkdirTemp("", "absurdgen")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{
		"go.mod": "module example.com/orders\n\ngo 1.26\n",
		"orders.go": `package orders

import "context"

//absurd:step name=orders.charge timeout=30
func charge(ctx context.Context, cents int) error { return nil }
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			fmt.Println(err)
			return
		}
	}
	_, err = absurdgen.Run(context.Background(), absurdgen.Options{Dir: dir, Patterns: []string{"./..."}, Check: true})
	if mistakes, ok := errors.AsType[absurdgen.Diagnostics](err); ok {
		for _, m := range mistakes {
			fmt.Printf("%s: %s: %s\n\t%s\n", m.At, m.Slug, m.Message, m.Fix)
		}
	}
	// Output:
	// orders.go:5:1: runtime-missing: the module does not require github.com/absurdgen/absurdgen, which generated code imports
	// 	run go get github.com/absurdgen/absurdgen@latest and then go mod tidy
	// orders.go:5:34: bad-duration: timeout "30" has no unit
	// 	try timeout=30s
}

// The texts of "go tool absurdgen help".
func ExampleHelp() {
	text, err := absurdgen.Help("step")
	first, _, _ := strings.Cut(text, "\n")
	fmt.Println(first, err)
	// Output: //absurd:step <nil>
}
