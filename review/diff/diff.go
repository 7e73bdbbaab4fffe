// Package diff compares two versions of a text file, by lines and within
// lines, for the review server's REST API and pages.
package diff

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sergi/go-diff/diffmatchpatch"
)

// Span is a half-open range: of lines counted from 0, or of bytes in a line.
type Span struct{ From, To int }

// Len is the number of lines or bytes in the span.
func (s Span) Len() int { return s.To - s.From }

// Chunk pairs lines of the old version, A, with lines of the new one, B. The
// lines are the same ones if Equal; otherwise all of A became all of B, and
// one of them may be empty.
type Chunk struct {
	Equal bool
	A, B  Span
}

// patience bounds the search for the smallest difference of two texts. After
// it, the difference is still right but may be larger than need be.
const patience = time.Second

// Lines compares a with b. The chunks cover both in order; equal and unequal
// ones alternate. Two empty texts have no chunks.
func Lines(a, b []string) []Chunk {
	ra, rb := runes(a, b)
	engine := diffmatchpatch.New()
	engine.DiffTimeout = patience
	var chunks []Chunk
	var at, bt int
	for _, d := range engine.DiffMainRunes(ra, rb, false) {
		n := utf8.RuneCountInString(d.Text)
		next := Chunk{Equal: d.Type == diffmatchpatch.DiffEqual, A: Span{at, at}, B: Span{bt, bt}}
		if d.Type != diffmatchpatch.DiffInsert {
			next.A.To += n
		}
		if d.Type != diffmatchpatch.DiffDelete {
			next.B.To += n
		}
		at, bt = next.A.To, next.B.To
		if last := len(chunks) - 1; last >= 0 && chunks[last].Equal == next.Equal {
			chunks[last].A.To, chunks[last].B.To = at, bt
			continue
		}
		chunks = append(chunks, next)
	}
	return chunks
}

// runes gives every distinct line a code point of its own, so that texts can
// be compared as strings of them. Surrogates cannot be encoded and are passed
// over. There are more code points than lines that anyone reviews: what goes
// beyond is taken for one and the same line.
func runes(a, b []string) (ra, rb []rune) {
	seen := make(map[string]rune, len(a)+len(b))
	number := func(lines []string) []rune {
		out := make([]rune, len(lines))
		for i, line := range lines {
			r, ok := seen[line]
			if !ok {
				r = rune(len(seen) + 1)
				if r >= 0xD800 {
					r += 0x800
				}
				r = min(r, utf8.MaxRune)
				seen[line] = r
			}
			out[i] = r
		}
		return out
	}
	return number(a), number(b)
}

// Split cuts a text into lines without their ends. A text that does not end
// with a line feed has its last line as any other; the empty text has none.
func Split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// Within reports which bytes of a were removed and which of b were added, in
// order and without overlap, to make one line the other. Two lines that have
// little in common are reported as changed from end to end by nil, nil.
func Within(a, b string) (removed, added []Span) {
	if len(a) > maxLine || len(b) > maxLine || !utf8.ValidString(a) || !utf8.ValidString(b) {
		return nil, nil
	}
	engine := diffmatchpatch.New()
	engine.DiffTimeout = patience / 10
	same := 0
	var at, bt int
	for _, d := range engine.DiffCleanupSemantic(engine.DiffMain(a, b, false)) {
		n := len(d.Text)
		switch d.Type {
		case diffmatchpatch.DiffEqual:
			same += len(strings.TrimSpace(d.Text))
			at, bt = at+n, bt+n
		case diffmatchpatch.DiffDelete:
			removed = append(removed, Span{at, at + n})
			at += n
		case diffmatchpatch.DiffInsert:
			added = append(added, Span{bt, bt + n})
			bt += n
		}
	}
	if same*3 < min(len(a), len(b)) || same == 0 {
		return nil, nil
	}
	return removed, added
}

// maxLine is the longest line, in bytes, that is compared within.
const maxLine = 2000

// IsBinary reports whether content is no text that can be shown by lines: it
// holds a zero byte near its beginning, as git decides it.
func IsBinary(content []byte) bool {
	return strings.IndexByte(string(content[:min(len(content), 8000)]), 0) >= 0
}
