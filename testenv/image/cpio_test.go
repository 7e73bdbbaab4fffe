package image

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnInitramfsIsACpioArchive(t *testing.T) {
	var archive bytes.Buffer
	w := newRamfsWriter(&archive)
	w.Character("/dev/console", 0o600, 5, 1)
	w.File("/a/b/init", 0o755, []byte("hello"))
	w.File("/a/c", 0o644, nil)
	require.NoError(t, w.Close())
	type entry struct{ name, mode, device, content string }
	var entries []entry
	for rest := archive.Bytes(); ; {
		header := string(rest[:110])
		require.Equal(t, "070701", header[:6])
		field := func(i int) string { return header[6+8*i : 14+8*i] }
		size := func(i int) int {
			var n int
			for _, digit := range []byte(field(i)) {
				n = n*16 + strings.IndexByte("0123456789ABCDEF", digit)
			}
			return n
		}
		aligned := func(n int) int { return (n + 3) &^ 3 }
		nameEnd := 110 + size(11)
		content := rest[aligned(nameEnd):][:size(6)]
		e := entry{string(rest[110 : nameEnd-1]), field(1), field(9) + field(10), string(content)}
		if e.name == "TRAILER!!!" {
			break
		}
		entries = append(entries, e)
		rest = rest[aligned(aligned(nameEnd)+size(6)):]
	}
	const none = "0000000000000000"
	assert.Equal(t, []entry{
		{"dev", "000041ED", none, ""},
		{"dev/console", "00002180", "0000000500000001", ""},
		{"a", "000041ED", none, ""},
		{"a/b", "000041ED", none, ""},
		{"a/b/init", "000081ED", none, "hello"},
		{"a/c", "000081A4", none, ""},
	}, entries)
}

func TestAMissingFileIsReportedWhenTheInitramfsEnds(t *testing.T) {
	w := newRamfsWriter(io.Discard)
	w.Copy("/init", 0o755, "/nowhere/agent")
	require.ErrorIs(t, w.Close(), os.ErrNotExist)
}
