package qemu

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// What a machine writes is kept in files of bounded size, and so is what it
// writes while nobody reads.
//
// QEMU writes its console, and its own messages, into named pipes of the
// machine's directory, which it holds open for reading as well, so that they
// outlive a Gatehouse that reads them. Gatehouse moves what comes into a ring of
// two files. While no Gatehouse runs, a pipe's buffer fills and a guest that goes
// on printing waits, as it would for a slow terminal: nothing is lost then,
// and nothing of the host's disk is used up. (A chardev that writes a file
// has no bound; a ring buffer in QEMU's memory is lost with QEMU, just when
// it matters; a child that keeps the log is a process more per machine.)
const (
	consoleLimit  = 1 << 20
	messagesLimit = 64 << 10
	pipeBuffer    = 256 << 10 // an unprivileged user's pipes share 64 MiB
)

// keeper moves what comes out of a pipe into a ring.
type keeper struct {
	pipe *os.File
	done chan struct{}
}

// keep starts a keeper, which ends when the pipe's last writer does. closed
// ends it early and leaves the rest in the pipe for the next.
func keep(pipe string, ring *ring, log *slog.Logger) (*keeper, error) {
	f, err := os.OpenFile(pipe, os.O_RDONLY|unix.O_NONBLOCK, 0) // non-blocking: does not wait for a writer
	if err != nil {
		return nil, err
	}
	k := &keeper{pipe: f, done: make(chan struct{})}
	go func() {
		defer close(k.done)
		defer f.Close()
		k.copy(ring, log)
	}()
	return k, nil
}

func (k *keeper) copy(ring *ring, log *slog.Logger) {
	defer ring.close()
	buf, failed := make([]byte, 32<<10), false
	for {
		n, err := k.pipe.Read(buf)
		if err != nil {
			return
		}
		// A full disk must not stop the guest: what cannot be kept is dropped.
		if err := ring.write(buf[:n]); err != nil && !failed {
			failed = true
			log.Warn("machine's output is lost", "file", ring.path, "error", err)
		}
	}
}

// stop ends the keeper; what is in the pipe stays there.
func (k *keeper) stop() {
	k.pipe.Close()
	<-k.done
}

// makePipe makes a named pipe and opens it for reading and writing, which does
// not wait for the other end. The file does not block, nor does it in a process
// that inherits it: what does not fit into the pipe is dropped.
func makePipe(path string) (*os.File, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, &fs.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// enlarge gives a pipe its buffer. The host may refuse; then it stays as it is.
func enlarge(pipe *os.File, log *slog.Logger) {
	if _, err := unix.FcntlInt(pipe.Fd(), unix.F_SETPIPE_SZ, pipeBuffer); err != nil {
		log.Debug("pipe keeps its size", "pipe", pipe.Name(), "error", err)
	}
}

// ring is a file that is renamed to NAME.1, replacing the former, when it has
// reached its limit, and begun anew: the last limit bytes are always there,
// and never more than twice as many.
type ring struct {
	path  string
	limit int64

	mu   sync.Mutex
	file *os.File // nil: not open
	size int64
}

func (r *ring) write(p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.open(); err != nil {
		return err
	}
	if r.size+int64(len(p)) > r.limit {
		r.file.Close()
		r.file = nil
		if err := os.Rename(r.path, r.path+".1"); err != nil {
			return err
		}
		if err := r.open(); err != nil {
			return err
		}
	}
	n, err := r.file.Write(p)
	r.size += int64(n)
	return err
}

func (r *ring) open() error {
	if r.file != nil {
		return nil
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	r.file, r.size = f, info.Size()
	return nil
}

func (r *ring) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

// clear forgets what was written.
func (r *ring) clear() error {
	r.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range []string{r.path, r.path + ".1"} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// bytes are at most the last limit bytes written.
func (r *ring) bytes() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []byte
	for _, path := range []string{r.path + ".1", r.path} {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		all = append(all, text...)
	}
	return all[max(0, int64(len(all))-r.limit):], nil
}

// lastLines are the last n lines of text, all for a negative n.
func lastLines(text []byte, n int) []byte {
	switch {
	case n < 0:
		return text
	case n == 0:
		return nil
	}
	start := len(bytes.TrimSuffix(text, []byte("\n")))
	for range n {
		if start = bytes.LastIndexByte(text[:start], '\n'); start < 0 {
			return text
		}
	}
	return text[start+1:]
}
