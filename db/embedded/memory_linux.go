package embedded

import "syscall"

// memoryDir returns a directory in memory, if there is one with so many bytes free. In containers it is often small.
func memoryDir(need uint64) (string, bool) {
	const dir, tmpfs = "/dev/shm", 0x01021994
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil || st.Type != tmpfs {
		return "", false
	}
	return dir, st.Bavail*uint64(st.Bsize) >= need
}
