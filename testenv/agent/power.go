package agent

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// order is what PID 1 may be told to do with the machine.
type order int

const (
	powerOff order = iota
	restart
)

func (o order) String() string {
	if o == restart {
		return "restart"
	}
	return "power off"
}

// leaveTime is how long processes have to end between SIGTERM and SIGKILL
// when the machine goes down.
const leaveTime = 3 * time.Second

// listenForOrders takes the orders that come as signals: SIGTERM and SIGINT
// (which the kernel sends for ctrl-alt-del) restart the machine, SIGUSR2 and
// SIGPWR power it off. The image's reboot and poweroff send them.
func (m *machine) listenForOrders() chan order {
	orders := make(chan order, 8)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGUSR2, unix.SIGPWR)
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF); err != nil {
		m.log.Warn("gatehouse-agent: ctrl-alt-del", "err", err)
	}
	go func() {
		for s := range signals {
			if s == unix.SIGTERM || s == unix.SIGINT {
				orders <- restart
			} else {
				orders <- powerOff
			}
		}
	}()
	return orders
}

// watchPowerButton starts to watch for the ACPI power button: pressed, it is
// an order to power off.
func (m *machine) watchPowerButton(orders chan<- order) error {
	const name = "Power Button"
	names, err := filepath.Glob("/sys/class/input/event*/device/name")
	if err != nil {
		return err
	}
	for _, file := range names {
		if text, err := os.ReadFile(file); err != nil || string(text) != name+"\n" {
			continue
		}
		device, err := os.Open(filepath.Join("/dev/input", filepath.Base(filepath.Dir(filepath.Dir(file)))))
		if err != nil {
			return err
		}
		go m.do(chore{"power button", func() error { return awaitPowerKey(device, orders) }})
		return nil
	}
	return errors.New("the machine has none")
}

func awaitPowerKey(device io.ReadCloser, orders chan<- order) error {
	defer device.Close()
	pressed, err := readPowerKey(device)
	if pressed {
		orders <- powerOff
	}
	return err
}

// readPowerKey reads struct input_event records (linux/input.h, 64 bits) until
// the power key goes down.
func readPowerKey(r io.Reader) (bool, error) {
	const evKey, keyPower, down = 1, 116, 1
	var event struct {
		Seconds, Microseconds int64
		Type, Code            uint16
		Value                 int32
	}
	for {
		if err := binary.Read(r, binary.NativeEndian, &event); err != nil {
			return false, err
		}
		if event.Type == evKey && event.Code == keyPower && event.Value == down {
			return true, nil
		}
	}
}

// halt ends all processes, writes the disks and powers off or restarts the
// machine. It returns only if the kernel refuses.
func (m *machine) halt(o order) {
	if err := unix.Kill(-1, unix.SIGTERM); err == nil {
		m.awaitAlone(leaveTime)
		_ = unix.Kill(-1, unix.SIGKILL) // there may be none left
	}
	unix.Sync()
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		m.log.Warn("gatehouse-agent: remount / read-only", "err", err)
	}
	command := unix.LINUX_REBOOT_CMD_POWER_OFF
	if o == restart {
		command = unix.LINUX_REBOOT_CMD_RESTART
	}
	if err := unix.Reboot(command); err != nil {
		m.log.Error("gatehouse-agent: "+o.String(), "err", err)
	}
}

// awaitAlone returns once PID 1 has no children, and so (since it inherits all
// orphans) no process in user space is left, or when patience is over.
func (m *machine) awaitAlone(patience time.Duration) {
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		var info siginfo
		if errors.Is(waitid(&info), unix.ECHILD) {
			return
		}
		<-ticks.C
	}
}
