package fake_test

import (
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/gatehouse-dev/gatehouse/core/compute"
	"github.com/gatehouse-dev/gatehouse/core/compute/drivertest"
	"github.com/gatehouse-dev/gatehouse/core/compute/fake"
)

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Setup {
		t.Helper()
		driver := fake.New()
		return drivertest.Setup{
			Driver: driver,
			Machine: func(*testing.T) compute.Machine {
				return compute.Machine{ID: uuid.NewString(), Name: "one", VCPUs: 1, MemoryMB: 64}
			},
			Disk: func(t *testing.T) compute.Disk {
				t.Helper()
				serial := uuid.NewString()
				return compute.Disk{Serial: serial, File: filepath.Join(t.TempDir(), serial), Format: "raw"}
			},
			Boot:   fake.Boot,
			Kill:   func(_ *testing.T, id string) { driver.Kill(id, "killed") },
			Reopen: func(*testing.T) compute.Driver { return driver },
		}
	})
}
