//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestScale holds the promise for a large module: 50 packages with 500 annotated functions take less than 3 s and 300 MB
// once the go command has compiled what they import. The time is that of the processor, which other work on the machine
// does not change, and is more than passes on a clock. Compiling so much takes a minute, so that the full size is for ABSURD_SOAK=1; else
// there are 3 packages, within the same limits.
func TestScale(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command and a module of many packages")
	}
	const functions = 10
	packages := 3
	if os.Getenv("ABSURD_SOAK") != "" {
		packages = 50
	}
	bin := filepath.Join(t.TempDir(), "absurdgen")
	// What users run has no race detector, which would cost memory and time of its own.
	if out, err := exec.Command("go", "build", "-race=false", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	files := map[string]string{}
	for p := range packages {
		var src strings.Builder
		fmt.Fprintf(&src, "package p%d\n\nimport (\n\t\"context\"\n\n\t\"github.com/absurdgen/absurdgen/workflow\"\n", p)
		if p > 0 {
			fmt.Fprintf(&src, "\t\"example.com/shop/p%d\"\n", p-1)
		}
		src.WriteString(")\n")
		for f := range functions - 1 {
			fmt.Fprintf(&src, "\ntype In%d struct {\n\tID string `json:\"id\"`\n\tItems []Out%d\n}\n\ntype Out%d struct{ N int }\n", f, f, f)
			fmt.Fprintf(&src, "\n//absurd:step key=ID attempts=5 backoff=1s..1m\nfunc step%d(ctx context.Context, in In%d) (Out%d, error) { panic(0) }\n", f, f, f)
		}
		src.WriteString("\n//absurd:workflow\nfunc flow(ctx workflow.Context, in In0) (Out0, error) {\n")
		if p > 0 {
			fmt.Fprintf(&src, "\tif _, err := p%d.Step0.Do(ctx, p%d.In0{}); err != nil {\n\t\treturn Out0{}, err\n\t}\n", p-1, p-1)
		}
		src.WriteString("\treturn Step0.Do(ctx, in)\n}\n")
		files[fmt.Sprintf("p%d/p.go", p)] = src.String()
	}
	dir := project(t, files)
	measure := func() (cpu time.Duration, size int64, text string) {
		cmd := exec.Command(bin, "-v", "./...")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("absurdgen: %v\n%s", err, out)
		}
		size = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
		if runtime.GOOS != "darwin" {
			size *= 1024 // kilobytes there
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), size, string(out)
	}
	first, _, _ := measure()
	second, _, _ := measure() // compiles the packages with their new code
	warm, size, out := measure()
	t.Logf("first %v, second %v, warm %v, %d MB\n%s", first, second, warm, size>>20, out)
	if want := fmt.Sprintf("%d handles in %d packages, 0 files differ", packages*functions, packages); !strings.Contains(out, want) {
		t.Errorf("the output lacks %q", want)
	}
	if warm > 3*time.Second {
		t.Errorf("a warm run took %v", warm)
	}
	if size > 300<<20 {
		t.Errorf("a warm run took %d MB", size>>20)
	}
	if made, _ := filepath.Glob(filepath.Join(dir, "p*", "absurd_gen.go")); len(made) != packages {
		t.Errorf("%d files were generated", len(made))
	}
}
