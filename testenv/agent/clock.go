package agent

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A kernel that boots on a busy host without KVM may misjudge how fast its
// processor's time stamps run: clocks were seen that ran at 2.4 times their
// speed. A template would hand that down to all its forks. So it compares its
// clock with the machine's real-time clock, which is the host's.

// rtcTime is the real-time clock's time, in whole seconds since 1970.
const rtcTime = "/sys/class/rtc/rtc0/since_epoch"

// clockTolerance is how much a template's clock may be off, as a fraction.
// What is read of the two clocks at once is read some milliseconds apart.
const clockTolerance = 0.1

// instant is one moment by both clocks.
type instant struct {
	real int64 // in seconds
	own  time.Time
}

// nextSecond waits for the real-time clock to go on by a second.
func nextSecond(file string) (instant, error) {
	const pause = 10 * time.Millisecond
	first, err := readSeconds(file)
	deadline := time.Now().Add(settling)
	for now := first; err == nil; now, err = readSeconds(file) {
		if now != first {
			return instant{now, time.Now()}, nil
		}
		if time.Now().After(deadline) {
			return instant{}, fmt.Errorf("%s stands still", file)
		}
		<-time.After(pause)
	}
	return instant{}, err
}

func readSeconds(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// checkPace reports a clock that has not kept up with the real one, or has run
// ahead of it.
func checkPace(from, to instant) error {
	pace := to.own.Sub(from.own).Seconds() / float64(to.real-from.real)
	if pace < 1-clockTolerance || pace > 1+clockTolerance {
		return fmt.Errorf("its clock runs at %.2f times the speed of the real-time clock", pace)
	}
	return nil
}

// keepingTime does what takes some seconds, and reports if the machine's clock
// ran at another pace meanwhile than its real-time clock. A machine without
// one is believed.
func (m *machine) keepingTime(do func()) error {
	from, err := nextSecond(rtcTime)
	do()
	if err != nil {
		m.log.Warn("gatehouse-agent: the clock is not checked", "err", err)
		return nil
	}
	to, err := nextSecond(rtcTime)
	if err != nil {
		return err
	}
	return checkPace(from, to)
}
