package qemu_test

import (
	"bufio"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

func TestGuestIsOnlyTakenAtTheExpectedWord(t *testing.T) {
	for name, c := range map[string]struct{ says, fails string }{
		"the word":          {"gatehouse-template 1 ready\n", ""},
		"with a CR":         {"gatehouse-template 1 ready\r\n", ""},
		"another word":      {"gatehouse-template 1 forked\n", `said "gatehouse-template 1 forked" instead of`},
		"another protocol":  {"gatehouse-template 2 ready\n", "instead of"},
		"garbage":           {"\x1b]0;rm -rf\x07\n", `said "\x1b]0;rm -rf\a"`},
		"nothing":           {"\n", `said ""`},
		"a prefix":          {"gatehouse-template 1 ready-made\n", "instead of"},
		"a failure":         {"gatehouse-template 1 failed no \x1b[31mmodule\n", `failed: "no \x1b[31mmodule"`},
		"two words at once": {"gatehouse-template 1 ready\ngatehouse-template 1 forked\n", "more than it should"},
		"no end":            {strings.Repeat("x", 1024), "no line ends within 1024 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			channel, guest := qemu.NewChannel(t)
			_, err := guest.WriteString(c.says)
			require.NoError(t, err)
			err = channel.Expect(t.Context(), "ready", time.Minute)
			if c.fails == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.fails)
			}
		})
	}
}

func TestGuestIsNotWaitedForForever(t *testing.T) {
	channel, guest := qemu.NewChannel(t)
	_, err := guest.WriteString("gatehouse-temp")
	require.NoError(t, err)
	require.ErrorContains(t, channel.Expect(t.Context(), "ready", time.Millisecond), `said nothing for 1ms: no "ready"`)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, channel.Expect(ctx, "ready", time.Minute), context.Canceled)

	guest.Close()
	require.ErrorContains(t, channel.Expect(t.Context(), "ready", time.Minute), "EOF")
}

func TestForkIsToldWhoItIsInOneLine(t *testing.T) {
	channel, guest := qemu.NewChannel(t)
	seed := []byte(strings.Repeat("\x00\xff\n", 21) + "x")
	require.NoError(t, channel.Introduce(time.Unix(0, 1795370000123456789), seed, "8c0f6f3e-64b5-4f0e-8df1-0a2a1f7b9c01", "fa:16:3e:12:34:56"))
	channel.Close()
	lines := bufio.NewScanner(guest)
	require.True(t, lines.Scan())
	var told struct {
		Time      int64
		Seed      []byte
		UUID, MAC string
	}
	require.NoError(t, json.Unmarshal(lines.Bytes(), &told))
	assert.Equal(t, int64(1795370000123456789), told.Time)
	assert.Equal(t, seed, told.Seed)
	assert.Equal(t, "8c0f6f3e-64b5-4f0e-8df1-0a2a1f7b9c01", told.UUID)
	assert.Equal(t, "fa:16:3e:12:34:56", told.MAC)
	assert.False(t, lines.Scan())
}

// TestGuestThatDoesNotListenIsGivenUp fills the buffer of a channel of which
// nobody reads.
func TestGuestThatDoesNotListenIsGivenUp(t *testing.T) {
	channel, _ := qemu.NewChannel(t)
	require.ErrorContains(t, channel.Introduce(time.Now(), make([]byte, 8<<20), "", ""), "tell the guest who it is")
}
