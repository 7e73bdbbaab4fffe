package qemu_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/compute/qemu"
)

// serveQMP serves a monitor in a directory with a long path. Each connection
// is answered by answer, line by line, after the greeting.
func serveQMP(t *testing.T, greet bool, answer func(line string) string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var l net.Listener
	require.NoError(t, qemu.Within(dir, "qmp.sock", func(path string) (err error) {
		l, err = net.Listen("unix", path)
		return err
	}))
	l.(*net.UnixListener).SetUnlinkOnClose(false) //nolint:forcetypeassert // a test
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if greet {
					fmt.Fprintln(c, `{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}`)
				}
				lines := bufio.NewReader(c)
				for {
					line, err := readCommand(lines)
					if err != nil {
						return
					}
					if strings.Contains(line, "qmp_capabilities") {
						fmt.Fprintln(c, `{"return": {}}`)
						continue
					}
					fmt.Fprint(c, answer(line))
				}
			}()
		}
	}()
	return dir
}

// readCommand reads one JSON object without nested strings that hold braces.
func readCommand(r *bufio.Reader) (command string, err error) {
	for depth := 0; ; {
		b, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		command += string(b)
		switch b {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return command, nil
			}
		}
	}
}

func TestMonitorAnswersAndReportsEvents(t *testing.T) {
	events := make(chan string, 10)
	dir := serveQMP(t, true, func(string) string {
		return `{"event": "STOP", "data": {}, "timestamp": {"seconds": 1, "microseconds": 2}}` + "\n" +
			`{"return": {"status": "running"}}` + "\n"
	})
	m := qemu.NewMonitor(dir, func(e qmp.Event) { events <- e.Event })
	defer m.Close()
	var state struct{ Status string }
	require.NoError(t, m.Run(t.Context(), "query-status", &state))
	assert.Equal(t, "running", state.Status)
	assert.Equal(t, "STOP", <-events)
}

func TestMonitorReportsErrorsOfQEMU(t *testing.T) {
	dir := serveQMP(t, true, func(string) string {
		return `{"error": {"class": "GenericError", "desc": "no such device"}}` + "\n"
	})
	m := qemu.NewMonitor(dir, func(qmp.Event) {})
	defer m.Close()
	require.ErrorContains(t, m.Run(t.Context(), "device_del", nil), "device_del: no such device")
}

func TestMonitorGivesUpAQEMUThatDoesNotAnswer(t *testing.T) {
	for name, greet := range map[string]bool{"no greeting": false, "no answer": true} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			dir := serveQMP(t, greet, func(string) string {
				if asked++; asked == 1 {
					return ""
				}
				return `{"return": {}}` + "\n"
			})
			m := qemu.NewMonitor(dir, func(qmp.Event) {})
			defer m.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			require.ErrorIs(t, m.Run(ctx, "query-status", nil), context.DeadlineExceeded)
			if greet {
				require.NoError(t, m.Run(t.Context(), "query-status", nil), "on a new connection")
			}
		})
	}
}

func TestMonitorIsOfNoUseAfterClose(t *testing.T) {
	dir := serveQMP(t, true, func(string) string { return `{"return": {}}` + "\n" })
	m := qemu.NewMonitor(dir, func(qmp.Event) {})
	require.NoError(t, m.Run(t.Context(), "stop", nil))
	m.Close()
	require.ErrorContains(t, m.Run(t.Context(), "stop", nil), "closed")
}
