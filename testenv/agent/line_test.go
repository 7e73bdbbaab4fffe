package agent

import (
	"bufio"
	"encoding/base64"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var seed = base64.StdEncoding.EncodeToString(make([]byte, 64))

func TestAForkIsToldWhoItIs(t *testing.T) {
	guest, host := net.Pipe()
	defer host.Close()
	l := &line{guest}
	answers := make(chan error, 1)
	go func() {
		answers <- l.say("ready")
		f, err := l.awaitFork()
		assert.Equal(t, fork{Time: 1234567890123456789, Seed: make([]byte, 64), UUID: "u-1", MAC: "52:54:00:00:00:01"}, f)
		answers <- err
		answers <- l.say("forked")
	}()
	lines := bufio.NewReader(host)
	hears := func(want string) {
		t.Helper()
		got, err := lines.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, want, got)
		require.NoError(t, <-answers)
	}
	hears("gatehouse-template 1 ready\n")
	_, err := host.Write([]byte(`{"time": 1234567890123456789, "seed": "` + seed + `", "uuid": "u-1", "mac": "52:54:00:00:00:01"}` + "\n"))
	require.NoError(t, err)
	require.NoError(t, <-answers)
	hears("gatehouse-template 1 forked\n")
}

func TestNobodyIsBelievedWhoDoesNotSayAllOfIt(t *testing.T) {
	for order, want := range map[string]string{
		"":                    "unexpected end",
		"nonsense":            "invalid character",
		`{"time": "now"}`:     "cannot unmarshal",
		`{"seed": "%%%"}`:     "illegal base64",
		`{"uuid": "u"}`:       "the time cannot be",
		`{"time": -1}`:        "the time cannot be 1969-12-31",
		`{"time": 1}`:         "0 bytes of randomness",
		`{"time": 1} trailer`: "invalid character",
		`{"time": 1, "seed": "AAAA", "uuid": "u"}`:                              "3 bytes of randomness",
		`{"time": 1, "seed": "` + seed + `"}`:                                   "no id",
		`{"time": 1, "seed": "` + seed + `", "uuid": "u", "mac": "eth0"}`:       "invalid MAC",
		`{"time": 1, "seed": "` + seed + `", "uuid": "u", "mac": "02:00:5e:1"}`: "invalid MAC",
		// An address, but not Ethernet's.
		`{"time": 1, "seed": "` + seed + `", "uuid": "u", "mac": "02:00:5e:10:00:00:00:01"}`: "no Ethernet address",
	} {
		_, err := parseFork([]byte(order))
		assert.ErrorContains(t, err, want, order)
	}
	f, err := parseFork([]byte(`{"time": 1, "seed": "` + seed + `", "uuid": "u", "mac": "", "more": [1]}`))
	require.NoError(t, err)
	assert.Equal(t, fork{Time: 1, Seed: make([]byte, 64), UUID: "u"}, f)
}

func TestAnOrderWithoutEndIsGivenUp(t *testing.T) {
	guest, host := net.Pipe()
	defer host.Close()
	written := make(chan int, 1)
	go func() {
		n, _ := host.Write(make([]byte, 2*longestOrder))
		written <- n
	}()
	_, err := (&line{guest}).awaitFork()
	require.Error(t, err)
	guest.Close()
	assert.LessOrEqual(t, <-written, longestOrder+4096)
}

func TestWhateverIsSaidIsOneLineOfBoundedLength(t *testing.T) {
	for text, want := range map[string]string{
		"failed a\nb\r\tc\x00\x1b": "failed a b  c  ",
		strings.Repeat("x", 4000):  strings.Repeat("x", longestAnswer),
	} {
		guest, host := net.Pipe()
		go func() {
			assert.NoError(t, (&line{guest}).say(text))
			guest.Close()
		}()
		got, err := bufio.NewReader(host).ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "gatehouse-template 1 "+want+"\n", got)
	}
}

// A terminal that is not raw would answer what it is told, take ^C for a
// signal and make \r of \n.
func TestTheLineCarriesBytesAsTheyAre(t *testing.T) {
	terminal, err := newTerminal(os.Getuid())
	require.NoError(t, err)
	defer terminal.Close()
	l, err := openLine(terminal.slave.Name())
	require.NoError(t, err)
	defer l.Close()
	const bytes = "\x00\x03\x04\r\n\x11\x13\x1a\x7f\xff"
	for _, way := range []struct {
		from, to interface {
			Read([]byte) (int, error)
			Write([]byte) (int, error)
		}
	}{{terminal.master, l}, {l, terminal.master}} {
		_, err = way.from.Write([]byte(bytes))
		require.NoError(t, err)
		got := make([]byte, 2*len(bytes))
		n, err := way.to.Read(got)
		require.NoError(t, err)
		assert.Equal(t, bytes, string(got[:n]))
	}
}
