//go:build e2e

package qemu_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gatehouse-dev/gatehouse/core/compute"
)

// newFork is a machine of 2 GB and two processors that forks; its template is
// there.
func (h *host) newFork(b *testing.B) compute.Machine {
	b.Helper()
	m := h.machine(b)
	forkable(&m)
	m.VCPUs, m.MemoryMB = 2, 2048
	m.CommandLine += " guest.remember=300" // as much as a machine with tools
	return m
}

// warm makes the template.
func (h *host) warm(b *testing.B) {
	b.Helper()
	m := h.newFork(b)
	require.NoError(b, h.driver.Spawn(b.Context(), m))
	require.NoError(b, h.driver.Destroy(b.Context(), m.ID))
	require.Zero(b, h.log.count("forking failed"), h.log.String())
}

// BenchmarkFork makes and destroys forks, one after the other: an operation is
// the making, until the guest knows who it is.
func BenchmarkFork(b *testing.B) {
	h := newHost(b)
	h.warm(b)
	m := h.newFork(b)
	var destroying time.Duration
	for b.Loop() {
		m.ID = uuid.NewString()
		require.NoError(b, h.driver.Spawn(b.Context(), m))
		b.StopTimer()
		began := time.Now()
		require.NoError(b, h.driver.Destroy(b.Context(), m.ID))
		destroying += time.Since(began)
		b.StartTimer()
	}
	b.ReportMetric(float64(destroying.Milliseconds())/float64(b.N), "ms/destroy")
	require.Zero(b, h.log.count("forking failed"))
}

// BenchmarkTenForks runs ten forks at once, and tells how much of the host's
// memory they take in all, and how much of that they share.
func BenchmarkTenForks(b *testing.B) {
	h := newHost(b)
	h.warm(b)
	var own, shared int
	for b.Loop() {
		var forks []compute.Machine
		for range 10 {
			m := h.newFork(b)
			require.NoError(b, h.driver.Spawn(b.Context(), m))
			forks = append(forks, m)
		}
		own = 0
		for _, m := range forks {
			own += privateMB(b, h.driver.PID(m.ID))
		}
		shared = h.sharedMB(b)
		for _, m := range forks {
			require.NoError(b, h.driver.Destroy(b.Context(), m.ID))
		}
	}
	b.ReportMetric(float64(own+shared), "MB/host")
	b.ReportMetric(float64(own)/10, "MB/fork")
	b.ReportMetric(float64(shared), "MB/shared")
	require.Zero(b, h.log.count("forking failed"))
}

// privateMB is the memory that only this process has.
func privateMB(b *testing.B, pid int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	require.NoError(b, err)
	return (field(b, string(text), "Private_Dirty:") + field(b, string(text), "Private_Clean:")) >> 10
}

// sharedMB is how much of the template's memory is in the host's.
func (h *host) sharedMB(b *testing.B) int {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(h.dir, "templates", "*", "memory"))
	require.NoError(b, err)
	require.Len(b, files, 1)
	f, err := os.Open(files[0])
	require.NoError(b, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(b, err)
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(b, err)
	defer func() { require.NoError(b, unix.Munmap(mapped)) }()
	return residentPages(b, mapped) * os.Getpagesize() >> 20
}

// residentPages counts them: mincore(2).
func residentPages(b *testing.B, mapped []byte) (count int) {
	b.Helper()
	pages := make([]byte, (len(mapped)+os.Getpagesize()-1)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE,
		uintptr(unsafe.Pointer(&mapped[0])), uintptr(len(mapped)), uintptr(unsafe.Pointer(&pages[0])))
	require.Zero(b, errno)
	for _, page := range pages {
		count += int(page & 1)
	}
	return count
}
