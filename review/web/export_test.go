package web

import (
	"html/template"
	"net/http"
	"testing"
	"time"
)

// What tests of single rules need of the package's inside.
var (
	Linkify = linkify
	Local   = local
	Quote   = quote
)

// Job is a line of a gate's message.
type Job = jobResult

// Jobs reads the jobs of a gate's message.
func Jobs(text string) []Job { return parseJobs(text) }

// Highlight renders lines by the language of a file, with marks on the first.
func Highlight(path string, lines []string, marks ...[2]int) []template.HTML {
	var spans []span
	for _, mark := range marks {
		spans = append(spans, span{mark[0], mark[1]})
	}
	out := make([]template.HTML, len(lines))
	for i, l := range highlight(path, lines) {
		out[i] = l.html(spans)
		spans = nil
	}
	return out
}

// Within reports what changed within a line.
func Within(before, after string) (removed, added [][2]int) {
	r, a := within(before, after)
	for _, s := range r {
		removed = append(removed, [2]int{s.from, s.to})
	}
	for _, s := range a {
		added = append(added, [2]int{s.from, s.to})
	}
	return removed, added
}

// Session is the cookie of a session that an account began at a time.
func Session(t *testing.T, keyFile string, account int64, began time.Time) *http.Cookie {
	t.Helper()
	s, err := openSessions(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Cookie{Name: cookieName, Value: s.issue(account, began), Path: "/"}
}
