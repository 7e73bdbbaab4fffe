package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Where on the root disk a template, and each fork, leave a mark.
const (
	templateMark = 4096
	forkMark     = 8192
)

// memoryMark is a file in memory that each fork writes and none should find.
const memoryMark = "/mark"

// identity is what a fork is told.
type identity struct {
	Time int64
	Seed []byte
	UUID string
	MAC  string
}

// becomeTemplate waits, if the command line asks for it, until this guest is a
// fork and knows who it is. Words of the command line have it misbehave.
func becomeTemplate(line string) error {
	port, ok := word(line, "gatehouse.template=")
	if !ok {
		return nil
	}
	channel, err := openRaw("/dev/" + port)
	if err != nil {
		return err
	}
	if err := mark(templateMark, "template"); err != nil {
		return err
	}
	ballast := remember(line)
	how, _ := word(line, "guest.fork=")
	if err := beReady(channel, how); err != nil {
		return err
	}
	told, err := bufio.NewReader(channel).ReadBytes('\n')
	if err != nil {
		return err
	}
	if how == "forgets" {
		return errors.New("forgot to say that it forked")
	}
	if how == "refuses" {
		_, err := fmt.Fprintln(channel, "gatehouse-template 1 failed no wish to be \x1b[31manybody")
		return errors.Join(errors.New("refused"), err)
	}
	var id identity
	if err := json.Unmarshal(told, &id); err != nil {
		return err
	}
	if err := individuate(id); err != nil {
		return err
	}
	fmt.Printf("guest: forked %s %s %d %x %d\n", id.UUID, id.MAC, id.Time, id.Seed, len(ballast))
	_, err = fmt.Fprintln(channel, "gatehouse-template 1 forked")
	if how == "floods" {
		go flush(channel)
	}
	return err
}

// beReady says that the guest is a template, or what else it is to say.
func beReady(channel *os.File, how string) error {
	says := "gatehouse-template 1 ready\n"
	switch how {
	case "silent":
		return errors.New("silent")
	case "garbage":
		says = "login: \x1b[31m\n"
	case "fails":
		says = "gatehouse-template 1 failed there is no module\n"
	case "endless":
		flush(channel)
	}
	_, err := channel.WriteString(says)
	return err
}

// flush writes to the channel as long as there is somebody to read.
func flush(channel *os.File) {
	for {
		if _, err := channel.WriteString(strings.Repeat("x", 4096)); err != nil {
			fmt.Println("guest: channel:", err)
			return
		}
	}
}

func individuate(id identity) error {
	clock := unix.NsecToTimeval(id.Time)
	if err := unix.Settimeofday(&clock); err != nil {
		return err
	}
	found, err := os.ReadFile(memoryMark)
	fmt.Printf("guest: memory holds %q %v\n", found, err != nil)
	if err := os.WriteFile(memoryMark, []byte(id.UUID), 0o600); err != nil {
		return err
	}
	return mark(forkMark, id.UUID)
}

// remember fills memory as "guest.remember=MIB" wants.
func remember(line string) []byte {
	size := 0
	if text, ok := word(line, "guest.remember="); ok {
		fmt.Sscan(text, &size)
	}
	ballast := bytes.Repeat([]byte("ballast "), size<<17)
	return ballast
}

// mark leaves a text on the root disk, and says what was there.
func mark(at int64, text string) error {
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		f, err := os.OpenFile("/dev/vda", os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) && time.Since(start) < time.Minute {
			continue // it is still coming
		}
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte(text), at)
		return errors.Join(err, f.Sync())
	}
}

// showMarks says what marks are on the root disk, and what the config drive
// begins with.
func showMarks() {
	fmt.Printf("guest: marks %q %q config %q\n", peek("/dev/vda", templateMark, 36), peek("/dev/vda", forkMark, 36), peek("/dev/vdb", 0, 16))
}

func peek(path string, at int64, length int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	// What was read before the fork is not what is there now.
	if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKFLSBUF, 0); err != nil {
		return err.Error()
	}
	text := make([]byte, length)
	if _, err := f.ReadAt(text, at); err != nil {
		return err.Error()
	}
	return string(bytes.Trim(text, "\x00"))
}

// openRaw opens a serial port that passes bytes on as they are.
func openRaw(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, err
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	return f, unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
}

// word is what follows a prefix on the command line.
func word(line, prefix string) (string, bool) {
	for _, w := range strings.Fields(line) {
		if rest, ok := strings.CutPrefix(w, prefix); ok {
			return rest, true
		}
	}
	return "", false
}
