package embedded

// memoryDir returns nothing: macOS has no directory in memory.
func memoryDir(uint64) (string, bool) { return "", false }
