package rest

import (
	"fmt"
	"runtime"
)

// memory is Gerrit's MemSummaryInfo, of the whole process.
func memory() map[string]string {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return map[string]string{
		"total": megabytes(stats.HeapSys), "used": megabytes(stats.HeapInuse), "free": megabytes(stats.HeapIdle),
		"buffers": megabytes(stats.Sys - stats.HeapSys), "max": megabytes(stats.Sys),
	}
}

func megabytes(bytes uint64) string { return fmt.Sprintf("%.2fm", float64(bytes)/(1<<20)) }
