package installer

import (
	"regexp"
	"slices"
	"strings"
)

// console is what a serial line shows: a writer that tells each line and keeps
// the last ones. The guest decides what comes, so all of it is bounded.
type console struct {
	tell    func(line string)
	ended   bool // what comes is dropped
	partial []byte
	lines   []string
}

const (
	maxLine  = 300      // bytes of a line that are told
	maxRaw   = 16 << 10 // bytes, with all that moves a cursor, after which a line ends anyway
	keptRows = 100
)

// Write takes what came. It never fails.
func (c *console) Write(p []byte) (int, error) {
	for _, b := range p {
		if c.ended {
			break
		}
		if b == '\n' || b == '\r' {
			c.end()
			continue
		}
		if c.partial = append(c.partial, b); len(c.partial) == maxRaw {
			c.end()
		}
	}
	return len(p), nil
}

// end ends a line.
func (c *console) end() {
	line := clean(c.partial)
	c.partial = c.partial[:0]
	if line == "" {
		return
	}
	if c.lines = append(c.lines, line); len(c.lines) > keptRows {
		c.lines = c.lines[1:]
	}
	c.tell(line)
}

// last returns the last n lines, an unfinished one included: a question waits
// at its end.
func (c *console) last(n int) string {
	lines := c.lines
	if partial := clean(c.partial); partial != "" {
		lines = append(slices.Clip(lines), partial)
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// sequences are what moves a terminal's cursor or colours its text, see
// ECMA-48, section 5.4.
var sequences = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|[()][A-Z0-9]|[ -~])")

// clean returns the printable text of a line, without the spaces at its ends.
func clean(line []byte) string {
	text := strings.ToValidUTF8(string(sequences.ReplaceAll(line, nil)), "")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	return strings.ToValidUTF8(text[:min(len(text), maxLine)], "")
}
