package workflow

import (
	"fmt"
	"runtime"
	"strings"
)

// caller returns the program counter of the place in the user's code that led to a durable call: the first frame outside
// this module's runtime.
func caller() uintptr {
	var pcs [16]uintptr
	n := runtime.Callers(3, pcs[:])
	frames := runtime.CallersFrames(pcs[:n])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, runtimePackage+".") && !strings.HasPrefix(f.Function, runtimePackage+"/internal/") {
			return f.PC
		}
		if !more {
			return 0
		}
	}
}

const runtimePackage = "github.com/absurdgen/absurdgen/workflow"

// position returns file:line of a program counter that caller returned.
func position(pc uintptr) string {
	if pc == 0 {
		return "unknown position"
	}
	f, _ := runtime.CallersFrames([]uintptr{pc + 1}).Next()
	return fmt.Sprintf("%s:%d", f.File, f.Line)
}
