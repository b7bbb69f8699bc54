package workflow

import (
	"fmt"
	"runtime"
	"strings"
)

// caller returns the stack of a durable call as program counters. Where that is in the user's code is found out by position,
// and only for a message: it costs more than the call.
func caller() []uintptr {
	var pcs [16]uintptr
	return append([]uintptr(nil), pcs[:runtime.Callers(3, pcs[:])]...)
}

const runtimePackage = "github.com/absurdgen/absurdgen/workflow"

// position returns file:line of the first frame of a stack that is outside this module's runtime.
func position(stack []uintptr) string {
	frames := runtime.CallersFrames(stack)
	for more := len(stack) > 0; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if !strings.HasPrefix(f.Function, runtimePackage+".") && !strings.HasPrefix(f.Function, runtimePackage+"/internal/") {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
	return "unknown position"
}
