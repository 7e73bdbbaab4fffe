package compute

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// hostUptime is what uptime(1) prints of the host, which is how Nova tells it.
func hostUptime() (string, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return "", fmt.Errorf("uptime of the host: %w", err)
	}
	return formatUptime(time.Now(), time.Duration(info.Uptime)*time.Second, info.Loads), nil
}

// loadScale is the kernel's unit of load, 1/65536.
const loadScale = 1 << 16

func formatUptime(now time.Time, up time.Duration, loads [3]uint64) string {
	days, rest := up/(24*time.Hour), up%(24*time.Hour)
	text := fmt.Sprintf("%d:%02d", rest/time.Hour, rest%time.Hour/time.Minute)
	if days > 0 {
		text = fmt.Sprintf("%d days, %s", days, text)
	}
	load := func(i int) float64 { return float64(loads[i]) / loadScale }
	return fmt.Sprintf(" %s up %s,  0 users,  load average: %.2f, %.2f, %.2f", now.Format(time.TimeOnly), text, load(0), load(1), load(2))
}
