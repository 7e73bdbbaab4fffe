package web

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sergi/go-diff/diffmatchpatch"
)

// span is a half-open range of bytes in a line.
type span struct{ from, to int }

// maxLine is the longest line, in bytes, that is compared within; patience
// bounds the search, after which the difference may be larger than need be.
const (
	maxLine  = 1000
	patience = 50 * time.Millisecond
)

// within reports which bytes of before were removed and which of after were added,
// in order and without overlap. Two lines that have little in common have
// none: then the whole line is new.
func within(before, after string) (removed, added []span) {
	if len(before) > maxLine || len(after) > maxLine || !utf8.ValidString(before) || !utf8.ValidString(after) {
		return nil, nil
	}
	engine := diffmatchpatch.New()
	engine.DiffTimeout = patience
	same, oldAt, newAt := 0, 0, 0
	for _, d := range engine.DiffCleanupSemantic(engine.DiffMain(before, after, false)) {
		n := len(d.Text)
		switch d.Type {
		case diffmatchpatch.DiffEqual:
			same += len(strings.TrimSpace(d.Text))
			oldAt, newAt = oldAt+n, newAt+n
		case diffmatchpatch.DiffDelete:
			removed = append(removed, span{oldAt, oldAt + n})
			oldAt += n
		case diffmatchpatch.DiffInsert:
			added = append(added, span{newAt, newAt + n})
			newAt += n
		}
	}
	if same*3 < min(len(before), len(after)) || same == 0 {
		return nil, nil
	}
	return removed, added
}
