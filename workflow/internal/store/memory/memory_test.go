package memory_test

import (
	"testing"

	"github.com/absurdgen/absurdgen/workflow/internal/store/storetest"
)

func TestMemory(t *testing.T) { storetest.Run(t, storetest.Memory) }
