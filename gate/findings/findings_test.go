package findings_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gatehouse-dev/gatehouse/gate/findings"
)

func TestFindingsOfRealOutput(t *testing.T) {
	for name, tt := range map[string]struct {
		output  string
		want    []string
		failing bool
	}{
		"go test": {"=== RUN   TestA\n--- FAIL: TestA (0.00s)\n    a_test.go:7: no\nexit status 1\nFAIL\texample.org/a\t0.002s\nok  \texample.org/b\t0.01s\n",
			[]string{"TestA"}, true},
		"subtests name the innermost": {"--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/one (0.00s)\n    --- FAIL: TestA/two (0.00s)\nFAIL\texample.org/a\t0.002s\n",
			[]string{"TestA/one", "TestA/two"}, true},
		"a package that does not build": {"# example.org/a\na/a.go:3:2: undefined: x\nFAIL\texample.org/a [build failed]\n",
			[]string{"example.org/a [build failed]", "a/a.go:3: undefined: x"}, false},
		"a package that panics": {"panic: oh\nFAIL\texample.org/a\t0.01s\n", []string{"example.org/a"}, false},
		"go test -json": {`{"Action":"run","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"fail","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n",
			[]string{"TestA"}, true},
		"golangci-lint, coloured": {"\x1b[1mmain.go:12:9\x1b[0m: Error return value is not checked (errcheck)\n\tf()\n\t ^\n",
			[]string{"main.go:12: Error return value is not checked (errcheck)"}, false},
		"the job's own pattern": {"ERROR 12 boom\n", nil, true},
		"all is well":           {"ok  \texample.org/a\t0.1s\nPASS\nhttp://example.org:80/: fine\n12:30: time\n", nil, false},
		"talk of failure":       {"this test checks that `--- FAIL: TestX` is recognised\n", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := findings.NewReader([]*regexp.Regexp{regexp.MustCompile(`^ERROR \d+`)})
			failing := false
			for line := range strings.Lines(tt.output) {
				failing = r.Line([]byte(strings.TrimSuffix(line, "\n"))) || failing
			}
			assert.Equal(t, tt.want, r.Found().Names())
			assert.Equal(t, tt.failing, failing)
		})
	}
}

func TestDiskFullIsToldOnce(t *testing.T) {
	r := findings.NewReader(nil)
	r.Line([]byte("cp: error writing 'x': No space left on device"))
	assert.True(t, r.DiskFull())
	assert.False(t, r.DiskFull())
}
