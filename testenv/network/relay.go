package network

import (
	"context"
	"io"
	"sync"
	"time"
)

// stream is a connection that can be closed one way.
type stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// relay carries bytes both ways until both sides have ended, one fails,
// nothing moves for a time, or ctx ends. Then both are closed. The slower side
// sets the pace: little is kept.
func relay(ctx context.Context, a, b stream, idle time.Duration) {
	end := func() {
		a.Close()
		b.Close()
	}
	defer end()
	defer context.AfterFunc(ctx, end)()
	silence := time.AfterFunc(idle, end)
	defer silence.Stop()
	carry := func(to, from stream) {
		_, err := io.Copy(writer{to}, reader{from, func() { silence.Reset(idle) }})
		if err == nil {
			err = to.CloseWrite()
		}
		if err != nil {
			end()
		}
	}
	var ways sync.WaitGroup
	ways.Go(func() { carry(a, b) })
	ways.Go(func() { carry(b, a) })
	ways.Wait()
}

// reader tells of each read. Like writer, it hides what else a connection can
// do: io.Copy must not go around it.
type reader struct {
	io.Reader
	moved func()
}

func (r reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.moved()
	}
	return n, err
}

type writer struct{ io.Writer }
