package agent

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// siginfo is the kernel's siginfo_t for SIGCHLD on 64-bit machines, of which
// x/sys/unix leaves the union opaque.
type siginfo struct {
	signo, errno, code int32
	_                  int32
	pid                int32
	_                  [108]byte
}

// waitid looks for a dead child without waiting for it.
func waitid(info *siginfo) error {
	return unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(info)), //nolint:gosec // same size and layout, see siginfo
		unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
}
