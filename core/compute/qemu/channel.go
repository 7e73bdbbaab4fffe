package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The words of the guest on the channel. Each is a line that begins with
// channelPrefix; failed is followed by the reason.
const (
	channelPrefix = "gatehouse-template 1 "
	saysReady     = "ready"  // all is done that needs no identity
	saysForked    = "forked" // it has taken on its identity
	saysFailed    = "failed "
)

// templateWord on the kernel's command line asks the guest to become a
// template, and names the channel.
const templateWord = " gatehouse.template=ttyS1"

// longestLine is how much of a line is read before it is taken for garbage.
const longestLine = 1 << 10

// channel is the driver's end of a guest's second serial port, on which they
// speak of forking and of nothing else. The guest may be hostile: no more is
// read than the line that is waited for, and not for ever; what else it
// writes, QEMU holds back, or drops once the channel is closed.
type channel struct{ file *os.File }

// identity is what makes a fork differ from all others; see the package's
// documentation.
type identity struct {
	Time int64  `json:"time"` // nanoseconds since 1970
	Seed []byte `json:"seed"` // random
	UUID string `json:"uuid"` // the server's id
	MAC  string `json:"mac"`  // its interface's address, or empty
}

// newChannel makes a channel, and the end that QEMU inherits.
func newChannel() (c channel, guest *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return c, nil, os.NewSyscallError("socketpair", err)
	}
	return channel{os.NewFile(uintptr(fds[0]), "channel")}, os.NewFile(uintptr(fds[1]), "channel"), nil
}

// errGuestSilent says that the guest did not say in time what it should.
var errGuestSilent = errors.New("the guest said nothing")

// expect waits for the guest to say a word.
func (c channel) expect(ctx context.Context, word string, timeout time.Duration) error {
	if err := c.file.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		_ = c.file.SetReadDeadline(time.Unix(1, 0)) // only a closed file refuses
	})
	defer stop()
	line, err := c.readLine()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w for %v: no %q", errGuestSilent, timeout, word)
	case err != nil:
		return fmt.Errorf("wait for the guest's %q: %w", word, err)
	}
	said, ok := bytes.CutPrefix(line, []byte(channelPrefix))
	if reason, failed := bytes.CutPrefix(said, []byte(saysFailed)); ok && failed {
		return fmt.Errorf("the guest failed: %q", reason)
	}
	if !ok || string(said) != word {
		return fmt.Errorf("the guest said %q instead of %q", line[:min(len(line), 100)], channelPrefix+word)
	}
	return nil
}

// readLine reads a line, which the kernel may have ended with CR LF as long as
// the guest had not set its port otherwise.
func (c channel) readLine() ([]byte, error) {
	buf := make([]byte, 0, longestLine)
	for len(buf) < longestLine {
		n, err := c.file.Read(buf[len(buf):longestLine])
		buf = buf[:len(buf)+n]
		line, rest, whole := bytes.Cut(buf, []byte("\n"))
		switch {
		case whole && len(rest) > 0:
			return nil, errors.New("the guest said more than it should")
		case whole:
			return bytes.TrimSuffix(line, []byte("\r")), nil
		case err != nil:
			return nil, err
		}
	}
	return nil, fmt.Errorf("no line ends within %d bytes", longestLine)
}

// introduce tells the guest who it is.
func (c channel) introduce(id identity, timeout time.Duration) error {
	line, err := json.Marshal(id)
	if err != nil {
		return err
	}
	if err := c.file.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := c.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("tell the guest who it is: %w", err)
	}
	return nil
}

func (c channel) close() { c.file.Close() }
