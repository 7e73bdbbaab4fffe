package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal.
type terminal struct{ master, slave *os.File }

// Close closes both ends, which hangs up whoever uses it.
func (t *terminal) Close() {
	t.slave.Close()
	t.master.Close()
}

// windowSize is the part that pty-req and window-change share.
type windowSize struct{ Columns, Rows, WidthPixels, HeightPixels uint32 }

// setTerminal handles pty-req and window-change.
func (s *session) setTerminal(r *ssh.Request) error {
	if r.Type == "window-change" {
		var size windowSize
		if err := ssh.Unmarshal(r.Payload, &size); err != nil {
			return err
		}
		if s.terminal == nil {
			return fmt.Errorf("the session has no terminal")
		}
		return s.terminal.resize(size)
	}
	var v struct {
		Term                                     string
		Columns, Rows, WidthPixels, HeightPixels uint32
		Modes                                    string
	}
	if err := ssh.Unmarshal(r.Payload, &v); err != nil {
		return err
	}
	if s.terminal != nil || s.running != nil {
		return fmt.Errorf("a terminal is asked for once, and first")
	}
	t, err := newTerminal(int(s.account.UID))
	if err != nil {
		return err
	}
	s.terminal = t
	s.env = append(s.env, "TERM="+v.Term)
	return t.resize(windowSize{v.Columns, v.Rows, v.WidthPixels, v.HeightPixels})
}

// newTerminal opens a pseudo-terminal (pts(4)) that belongs to a user.
func newTerminal(uid int) (*terminal, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	t := &terminal{master: os.NewFile(uintptr(fd), "/dev/ptmx")}
	if err != nil {
		t.master.Close()
		return nil, fmt.Errorf("unlock a terminal: %w", err)
	}
	t.slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.master.Close()
		return nil, err
	}
	if err := t.slave.Chown(uid, -1); err != nil && os.Getuid() == 0 {
		t.Close()
		return nil, err
	}
	return t, nil
}

// resize sets the window's size. It does not use Fd, which would take the
// master away from the poller.
func (t *terminal) resize(s windowSize) error {
	raw, err := t.master.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{
			Row: uint16(s.Rows), Col: uint16(s.Columns), //nolint:gosec // a wrong size is the client's
			Xpixel: uint16(s.WidthPixels), Ypixel: uint16(s.HeightPixels), //nolint:gosec // the same
		})
	})
	return errors.Join(err, failed)
}
