package diff_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review/diff"
)

func TestLinesPairsOldWithNew(t *testing.T) {
	for _, test := range []struct {
		name, a, b string
		want       []diff.Chunk
	}{
		{"both empty", "", "", nil},
		{"the same", "x\ny\n", "x\ny\n", []diff.Chunk{{true, diff.Span{0, 2}, diff.Span{0, 2}}}},
		{"added file", "", "x\ny\n", []diff.Chunk{{false, diff.Span{0, 0}, diff.Span{0, 2}}}},
		{"deleted file", "x\n", "", []diff.Chunk{{false, diff.Span{0, 1}, diff.Span{0, 0}}}},
		{"changed line", "a\nb\nc\n", "a\nB\nc\n", []diff.Chunk{
			{true, diff.Span{0, 1}, diff.Span{0, 1}},
			{false, diff.Span{1, 2}, diff.Span{1, 2}},
			{true, diff.Span{2, 3}, diff.Span{2, 3}},
		}},
		{"inserted line", "a\nc\n", "a\nb\nc\n", []diff.Chunk{
			{true, diff.Span{0, 1}, diff.Span{0, 1}},
			{false, diff.Span{1, 1}, diff.Span{1, 2}},
			{true, diff.Span{1, 2}, diff.Span{2, 3}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, diff.Lines(diff.Split(test.a), diff.Split(test.b)))
		})
	}
}

// Whatever the texts, the chunks must rebuild both of them.
func TestLinesCoversBothTexts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() []string {
		lines := make([]string, random.IntN(60))
		for i := range lines {
			lines[i] = strings.Repeat("x", random.IntN(6))
		}
		return lines
	}
	for range 500 {
		a, b := text(), text()
		var at, bt int
		for i, chunk := range diff.Lines(a, b) {
			require.Equal(t, at, chunk.A.From)
			require.Equal(t, bt, chunk.B.From)
			at, bt = chunk.A.To, chunk.B.To
			if chunk.Equal {
				require.Equal(t, a[chunk.A.From:at], b[chunk.B.From:bt])
			}
			require.NotZero(t, chunk.A.Len()+chunk.B.Len(), "chunk %d is empty", i)
		}
		require.Equal(t, len(a), at)
		require.Equal(t, len(b), bt)
	}
}

func TestLinesTellsMoreLinesApartThanSurrogatesStart(t *testing.T) {
	var a []string
	for i := range 0xE000 {
		a = append(a, strings.Repeat("y", i%3)+string(rune('a'+i%26))+strings.Repeat("z", i/5000)+itoa(i))
	}
	b := append([]string{"new"}, a...)
	assert.Equal(t, []diff.Chunk{
		{false, diff.Span{0, 0}, diff.Span{0, 1}},
		{true, diff.Span{0, len(a)}, diff.Span{1, len(b)}},
	}, diff.Lines(a, b))
}

func itoa(i int) string {
	return string([]byte{byte('0' + i/10000), byte('0' + i/1000%10), byte('0' + i/100%10), byte('0' + i/10%10), byte('0' + i%10)})
}

func TestWithinMarksTheWordsThatChanged(t *testing.T) {
	removed, added := diff.Within("return a + b", "return a - b")
	assert.Equal(t, []diff.Span{{9, 10}}, removed)
	assert.Equal(t, []diff.Span{{9, 10}}, added)

	removed, added = diff.Within("completely different", "0123456789")
	assert.Empty(t, removed)
	assert.Empty(t, added)
}

func TestSplit(t *testing.T) {
	assert.Empty(t, diff.Split(""))
	assert.Equal(t, []string{"a"}, diff.Split("a"))
	assert.Equal(t, []string{"a"}, diff.Split("a\n"))
	assert.Equal(t, []string{"a", ""}, diff.Split("a\n\n"))
}

func TestIsBinary(t *testing.T) {
	assert.True(t, diff.IsBinary([]byte("a\x00b")))
	assert.False(t, diff.IsBinary([]byte("text\n")))
	assert.False(t, diff.IsBinary(nil))
}
