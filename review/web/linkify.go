package web

import (
	"html/template"
	"regexp"
	"strings"
)

// linkForm finds what becomes a link: addresses, Change-Ids.
var linkForm = regexp.MustCompile(`https?://[^\s<>"']+|\bI[0-9a-f]{40}\b`)

// linkify is text as HTML, with links where it holds addresses or Change-Ids.
// Nothing else in it means anything.
func linkify(text string) template.HTML {
	var b strings.Builder
	at := 0
	for _, span := range linkForm.FindAllStringIndex(text, -1) {
		from, to := span[0], span[1]
		link := text[from:to]
		if strings.HasPrefix(link, "http") {
			// What ends a sentence or closes a bracket is not part of it.
			link = strings.TrimRight(link, ".,;:!?")
			if !strings.Contains(link, "(") {
				link = strings.TrimRight(link, ")")
			}
		}
		b.WriteString(template.HTMLEscapeString(text[at:from]))
		target := link
		if !strings.HasPrefix(link, "http") {
			target = "/?q=" + link
		}
		b.WriteString(`<a href="` + template.HTMLEscapeString(target) + `" rel="noopener">` + template.HTMLEscapeString(link) + `</a>`)
		at = from + len(link)
	}
	b.WriteString(template.HTMLEscapeString(text[at:]))
	return template.HTML(b.String()) //nolint:gosec // every part is escaped above
}
