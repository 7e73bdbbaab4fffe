package web

import (
	"html/template"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/formatters/html"
	"github.com/alecthomas/chroma/v2/lexers"
	"github.com/alecthomas/chroma/v2/styles"
)

// line is a line of source, cut into tokens.
type line []chroma.Token

// maxHighlight is the largest text, in bytes, that is told apart by syntax.
const maxHighlight = 512 << 10

// highlight cuts the lines of a file into tokens, by the language that its
// name tells. Lines it cannot place come back as plain text: there are always
// as many as were given.
func highlight(path string, lines []string) []line {
	plain := make([]line, len(lines))
	size := 0
	for i, text := range lines {
		size += len(text) + 1
		plain[i] = line{{Type: chroma.Text, Value: text}}
	}
	lexer := lexers.Match(path)
	if lexer == nil || size > maxHighlight {
		return plain
	}
	tokens, err := chroma.Tokenise(chroma.Coalesce(lexer), nil, strings.Join(lines, "\n")+"\n")
	if err != nil {
		return plain
	}
	split := chroma.SplitTokensIntoLines(tokens)
	if len(split) < len(lines) {
		return plain
	}
	for i := range lines {
		found := line(split[i])
		if found.text() != lines[i] {
			return plain // the lexer changed the text: show the file, not that
		}
		plain[i] = found
	}
	return plain
}

func (l line) text() string {
	var b strings.Builder
	for _, token := range l {
		b.WriteString(token.Value)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// html renders the line, with marks (bytes of its text, in order) around what
// changed within it.
func (l line) html(marks []span) template.HTML {
	var b strings.Builder
	at := 0
	for _, token := range l {
		value := strings.TrimSuffix(token.Value, "\n")
		class := chroma.StandardTypes[token.Type]
		for value != "" {
			marked, end := cut(marks, at, at+len(value))
			writeSpan(&b, value[:end-at], class, marked)
			value = value[end-at:]
			at = end
		}
	}
	return template.HTML(b.String()) //nolint:gosec // writeSpan escapes
}

// cut reports whether position at is marked, and up to where that stays so, at
// most to.
func cut(marks []span, at, to int) (marked bool, end int) {
	for _, mark := range marks {
		if at < mark.from {
			return false, min(mark.from, to)
		}
		if at < mark.to {
			return true, min(mark.to, to)
		}
	}
	return false, to
}

func writeSpan(b *strings.Builder, text, class string, marked bool) {
	text = template.HTMLEscapeString(text)
	if marked {
		text = "<mark>" + text + "</mark>"
	}
	if class == "" {
		b.WriteString(text)
		return
	}
	b.WriteString(`<span class="` + class + `">` + text + `</span>`)
}

// syntaxCSS is the style of all tokens, light and dark.
var syntaxCSS = sync.OnceValue(func() string {
	return "@media (prefers-color-scheme: light) {\n" + styleCSS("github") +
		"}\n@media (prefers-color-scheme: dark) {\n" + styleCSS("github-dark") + "}\n"
})

// styleCSS is a style's colours, without its backgrounds: the page has its own.
func styleCSS(name string) string {
	style := styles.Get(name)
	types := slices.SortedFunc(maps.Keys(chroma.StandardTypes), func(a, b chroma.TokenType) int { return int(a - b) })
	var b strings.Builder
	for _, tokenType := range types {
		entry, class := style.Get(tokenType), chroma.StandardTypes[tokenType]
		entry.Background, entry.Border = 0, 0
		css := html.StyleEntryToCSS(entry)
		if tokenType < 0 || class == "" || css == "" {
			continue // a part of the page, not of the source
		}
		b.WriteString(".code ." + class + " { " + css + " }\n")
	}
	return b.String()
}
