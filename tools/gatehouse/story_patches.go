package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// storyFiles are what the story adds to the module to gate it.
var storyFiles = map[string]string{
	".gate.yaml": `# What the gate runs for each change. See docs/jobs.md of Gatehouse.
- job:
    name: lint
    label: go
    timeout: 5m
    run: golangci-lint run ./...
- job:
    name: unit
    label: go
    timeout: 5m
    run: go test ./...
- project:
    check: {jobs: [lint, unit]}
    gate: {jobs: [lint, unit]}
`,
	".golangci.yml": `version: "2"
linters:
  exclusions:
    rules:
      # The tests are older than these linters.
      - path: _test\.go
        linters: [errcheck, staticcheck]
`,
}

const storyMessage = `NewV6: keep all bits of the time

The version overwrites four of the time's sixty bits. Two UUIDs made one after
the other can so be in the wrong order, which TestVersion6 sees now and then.
RFC 9562 has the version between the upper 48 and the lower 12 bits.`

// patchSet is one try of the story's developer at the change.
type patchSet struct {
	what   string
	edits  []edit
	vote   int    // the vote that check must give
	report string // what its report must say
}

// edit replaces one text in one file by another.
type edit struct{ file, before, after string }

func (e edit) apply(dir string) error {
	file := filepath.Join(dir, e.file)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if strings.Count(string(text), e.before) != 1 {
		return fmt.Errorf("%s holds the text to edit %d times, not once: %q", e.file, strings.Count(string(text), e.before), e.before)
	}
	return os.WriteFile(file, []byte(strings.Replace(string(text), e.before, e.after, 1)), 0o600)
}

const (
	writeBefore = "\tbinary.BigEndian.PutUint64(uuid[0:], uint64(now))\n"
	writeAfter  = `	binary.BigEndian.PutUint32(uuid[0:], uint32(now>>28))
	binary.BigEndian.PutUint16(uuid[4:], uint16(now>>12))
	binary.BigEndian.PutUint16(uuid[6:], uint16(now))
`
	readBefore = `		time := binary.BigEndian.Uint64(uuid[:8]) // Ignore uuid[6] version b0110
		t = Time(time)
`
	readAfter = `		high := binary.BigEndian.Uint64(uuid[:8]) >> 16
		low := binary.BigEndian.Uint16(uuid[6:8]) & 0xfff // without the version
		t = Time(high<<12 | uint64(low))
`
	timeBefore = "// Time returns the time in 100s of nanoseconds"
	leftover   = `// timeLow is what stands behind the version.
func timeLow(t Time) uint16 { return uint16(t) & 0xfff }

`
	testBefore = "func TestVersion6(t *testing.T) {"
	test       = `func TestVersion6KeepsItsTime(t *testing.T) {
	before, _, err := GetTime()
	if err != nil {
		t.Fatal(err)
	}
	uuid, err := NewV6()
	if err != nil {
		t.Fatal(err)
	}
	after, _, err := GetTime()
	if err != nil {
		t.Fatal(err)
	}
	if got := uuid.Time(); got < before || got > after {
		t.Errorf("time is %d, not between %d and %d", got, before, after)
	}
}

`
)

// The first try writes the time as the RFC says but reads it as before; its
// own test fails. The second leaves a function that nothing calls. The third
// is right.
var patchSets = []patchSet{
	{
		what: "it breaks a test",
		edits: []edit{
			{"version6.go", writeBefore, writeAfter},
			{"uuid_test.go", testBefore, test + testBefore},
		},
		vote:   -1,
		report: "TestVersion6KeepsItsTime",
	},
	{
		what: "the tests pass, but a function is left over",
		edits: []edit{
			{"time.go", readBefore, readAfter},
			{"time.go", timeBefore, leftover + timeBefore},
		},
		vote:   -1,
		report: "timeLow",
	},
	{
		what:   "it is right",
		edits:  []edit{{"time.go", leftover, ""}},
		vote:   1,
		report: "SUCCESS",
	},
}
