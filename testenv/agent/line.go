package agent

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// line is how a template and its forks speak with the host: lines of text over
// a serial port. The template says that it is ready (or has failed, and why).
// Each fork is told who it is, says that it has become that, and hangs up: a
// fork's users can write to the port, and nobody shall listen to them.
type line struct {
	io.ReadWriteCloser
}

// Bounds of a line that is read, and of one that is written.
const (
	longestOrder  = 64 << 10
	longestAnswer = 512
)

// openLine opens a serial port that carries bytes as they are.
func openLine(device string) (*line, error) {
	// Not os.OpenFile, which would have the poller wake whoever reads.
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := makeRaw(fd); err != nil {
		return nil, fmt.Errorf("make %s raw: %w", device, err)
	}
	return &line{os.NewFile(uintptr(fd), device)}, nil
}

// makeRaw does what cfmakeraw(3) does, and lets only root open the terminal.
func makeRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8 | unix.CLOCAL | unix.CREAD
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return err
	}
	return unix.IoctlSetInt(fd, unix.TIOCEXCL, 0)
}

// say tells the host something, on one line whatever it is.
func (l *line) say(what string) error {
	what = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, what)
	_, err := fmt.Fprintf(l, "gatehouse-template 1 %s\n", what[:min(len(what), longestAnswer)])
	return err
}

// fork is what the host tells a fork.
type fork struct {
	Time int64  `json:"time"` // nanoseconds since 1970 UTC
	Seed []byte `json:"seed"` // random bytes
	UUID string `json:"uuid"` // of the server
	MAC  string `json:"mac"`  // of eth0; "": as it is
}

// awaitFork blocks until the host has said who this machine is.
func (l *line) awaitFork() (fork, error) {
	order, err := bufio.NewReader(io.LimitReader(l, longestOrder)).ReadBytes('\n')
	if err != nil {
		return fork{}, fmt.Errorf("who am I: %w", err)
	}
	return parseFork(order)
}

// shortestSeed is what the kernel's generator holds, in bytes.
const shortestSeed = 32

func parseFork(order []byte) (f fork, err error) {
	if err := json.Unmarshal(order, &f); err != nil {
		return f, fmt.Errorf("who am I: %w", err)
	}
	switch {
	case f.Time <= 0:
		return f, fmt.Errorf("who am I: the time cannot be %s", time.Unix(0, f.Time).UTC())
	case len(f.Seed) < shortestSeed:
		return f, fmt.Errorf("who am I: %d bytes of randomness are too few", len(f.Seed))
	case f.UUID == "":
		return f, fmt.Errorf("who am I: the server has no id")
	case f.MAC != "":
		mac, err := net.ParseMAC(f.MAC)
		if err == nil && len(mac) != 6 {
			err = fmt.Errorf("%s is no Ethernet address", mac)
		}
		return f, err
	default:
		return f, nil
	}
}
