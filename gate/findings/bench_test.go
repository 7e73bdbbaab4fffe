package findings_test

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/gate/findings"
)

// BenchmarkLine is the price of a line of output that says nothing: a build
// may print millions.
func BenchmarkLine(b *testing.B) {
	r := findings.NewReader(nil)
	line := []byte("2026/01/02 a line of output that is long enough to be real, and goes on")
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		r.Line(line)
	}
}
