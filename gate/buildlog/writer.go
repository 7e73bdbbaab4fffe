package buildlog

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// stamp is the form of the time in front of each line, in UTC.
	stamp = "2006-01-02 15:04:05.000000"
	// maxLine is where a line without an end is cut, in bytes.
	maxLine = 16 << 10
	// tailSize is how much of what was left out is shown at the end, in bytes.
	tailSize = 64 << 10
	// Mark begins the lines that the gate writes itself.
	Mark = "==> "
)

// Writer writes the log of a build. Its methods may be called concurrently.
type Writer struct {
	// OnLine, if set before the first write, is called with every line of
	// output, without its end, also with those that are left out of the log.
	// It must not keep the slice.
	OnLine func(line []byte)

	limit int64
	done  func()

	mu      sync.Mutex
	file    *os.File
	err     error
	partial []byte
	size    int64
	left    int64 // bytes left out
	tail    []byte
	changed chan struct{}
	watched bool
}

// Write takes output of the build. It never fails: what cannot be kept, on a
// full disk, is reported by Close; the build must not hang on it.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	out := stamped()
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 && len(w.partial)+len(p) < maxLine {
			w.partial = append(w.partial, p...)
			break
		}
		cut := end
		if room := maxLine - len(w.partial); end < 0 || end > room {
			cut = room
		}
		line := p[:cut]
		if len(w.partial) > 0 {
			line = append(w.partial, line...)
		}
		w.line(out, line)
		w.partial = w.partial[:0]
		p = p[cut:]
		if len(p) > 0 && p[0] == '\n' {
			p = p[1:]
		}
	}
	w.flush(out.text.Bytes())
	return n, nil
}

// Say writes a line of the gate's own.
func (w *Writer) Say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := stamped()
	w.endLine(out)
	for line := range bytes.Lines(fmt.Appendf(nil, format, args...)) {
		out.line(append([]byte(Mark), bytes.TrimRight(line, "\n")...))
	}
	w.put(out.text.Bytes())
}

// Close completes the log. It returns the first error of writing it.
func (w *Writer) Close() error {
	w.mu.Lock()
	out := stamped()
	w.endLine(out)
	w.flush(out.text.Bytes())
	if w.left > 0 {
		tail := w.tail
		if i := bytes.IndexByte(tail, '\n'); i >= 0 && w.left > int64(len(tail)) {
			tail = tail[i+1:] // the first line may be half of one
		}
		out = stamped()
		out.line(fmt.Appendf(nil, "%sthe log is longer than %d MiB: %d bytes are left out here; its last lines follow", Mark, w.limit>>20, w.left-int64(len(tail))))
		out.text.Write(tail)
		w.put(out.text.Bytes())
	}
	err := w.file.Close()
	if w.err == nil {
		w.err = err
	}
	err = w.err
	w.mu.Unlock()

	w.done()
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	return nil
}

func (w *Writer) endLine(out *stampedText) {
	if len(w.partial) > 0 {
		w.line(out, w.partial)
		w.partial = w.partial[:0]
	}
}

func (w *Writer) line(out *stampedText, line []byte) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if w.OnLine != nil {
		w.OnLine(line)
	}
	out.line(line)
}

// stampedText gathers lines that came at one time.
type stampedText struct {
	text   bytes.Buffer
	prefix []byte
}

func stamped() *stampedText {
	return &stampedText{prefix: append(time.Now().UTC().AppendFormat(nil, stamp), " | "...)}
}

func (s *stampedText) line(line []byte) {
	s.text.Write(s.prefix)
	s.text.Write(line)
	s.text.WriteByte('\n')
}

// flush writes output as far as the limit allows and keeps the end of the rest.
func (w *Writer) flush(p []byte) {
	if room := w.limit - w.size; w.left == 0 && int64(len(p)) > room {
		cut := bytes.LastIndexByte(p[:max(room, 0)], '\n') + 1
		w.put(p[:cut])
		p = p[cut:]
	}
	if w.left == 0 && w.size+int64(len(p)) <= w.limit {
		w.put(p)
		return
	}
	w.left += int64(len(p))
	w.tail = append(w.tail, p...)
	if over := len(w.tail) - tailSize; over > 0 {
		w.tail = append(w.tail[:0], w.tail[over:]...)
	}
}

// put writes to the file and wakes those who follow it.
func (w *Writer) put(p []byte) {
	if len(p) == 0 {
		return
	}
	n, err := w.file.Write(p)
	w.size += int64(n)
	if err != nil && w.err == nil {
		w.err = err
	}
	if w.watched {
		close(w.changed)
		w.changed, w.watched = make(chan struct{}), false
	}
}
