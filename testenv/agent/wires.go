package agent

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// lingering is how long an ended program's output is awaited when somebody
// still holds the other end of it.
const lingering = 250 * time.Millisecond

// wires are a program's standard files: the child's ends, and ours.
type wires struct {
	child  [3]*os.File
	input  *os.File // ours to write; nil for a terminal
	output []*os.File
	both   *os.File // a terminal's master: input and output
	copies sync.WaitGroup
}

// wire makes the files: pipes, or a terminal if one was asked for.
func (s *session) wire() (*wires, error) {
	if s.terminal != nil {
		tty := s.terminal.slave
		return &wires{child: [3]*os.File{tty, tty, tty}, both: s.terminal.master}, nil
	}
	w := &wires{}
	var err error
	if w.child[0], w.input, err = os.Pipe(); err != nil {
		return nil, err
	}
	for i := 1; i <= 2; i++ {
		ours, theirs, err := os.Pipe()
		if err != nil {
			w.closeChild()
			w.abandon()
			return nil, err
		}
		w.child[i] = theirs
		w.output = append(w.output, ours)
	}
	return w, nil
}

func (w *wires) closeChild() {
	for _, f := range w.child {
		f.Close() // closing a terminal twice, or none, does no harm
	}
}

// abandon closes our ends of a program that was never started.
func (w *wires) abandon() {
	w.closeChild()
	if w.input != nil {
		w.input.Close()
	}
	for _, f := range w.output {
		f.Close()
	}
}

// carry starts to copy between the program and the channel.
func (w *wires) carry(c ssh.Channel) {
	if w.both != nil {
		go func() { _, _ = io.Copy(w.both, c) }() // ends with the channel or the program
		w.copies.Go(func() { copyOutput(c, w.both) })
		return
	}
	go func() {
		_, _ = io.Copy(w.input, c) // ends with the channel or the program
		w.input.Close()
	}()
	w.copies.Go(func() { copyOutput(c, w.output[0]) })
	w.copies.Go(func() { copyOutput(c.Stderr(), w.output[1]) })
}

// drain waits, once the program has ended, until all its output is copied.
func (w *wires) drain() {
	outputs := w.output
	if w.both != nil {
		outputs = []*os.File{w.both}
	}
	for _, f := range outputs {
		_ = f.SetReadDeadline(time.Now().Add(lingering)) // pipes and terminals have deadlines
	}
	w.copies.Wait()
	for _, f := range w.output {
		f.Close()
	}
}

// copyOutput copies until the end of r. A deadline of r says that its program
// has ended; then it copies what there is and waits no longer than lingering
// for more. When w fails nobody listens any more, and r is read to its end so
// that the program is not stuck.
func copyOutput(w io.Writer, r *os.File) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = r.SetReadDeadline(time.Now().Add(lingering)) // see drain
			n, err = r.Read(buffer)
		}
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				w = io.Discard
			}
		}
		if err != nil {
			return
		}
	}
}
