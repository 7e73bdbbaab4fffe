package buildlog_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/gate/buildlog"
)

// BenchmarkWrite is the price of output, most of it left out of the log.
func BenchmarkWrite(b *testing.B) {
	w, err := buildlog.Open(b.TempDir()).Create("b", 1<<20)
	require.NoError(b, err)
	w.OnLine = func([]byte) {}
	chunk := bytes.Repeat([]byte("a line of output that is long enough to be real, and goes on\n"), 500)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		_, _ = w.Write(chunk)
	}
	require.NoError(b, w.Close())
}
