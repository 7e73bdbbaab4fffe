package web_test

import (
	"html/template"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gatehouse-dev/gatehouse/review/web"
)

func TestLinkifyLinksAndEscapes(t *testing.T) {
	t.Parallel()
	const id = "I0123456789abcdef0123456789abcdef01234567"
	for text, want := range map[string]template.HTML{
		"plain <b>&":                       "plain &lt;b&gt;&amp;",
		"see https://x.example/a?b=1&c=2.": `see <a href="https://x.example/a?b=1&amp;c=2" rel="noopener">https://x.example/a?b=1&amp;c=2</a>.`,
		"(http://x.example/)":              `(<a href="http://x.example/" rel="noopener">http://x.example/</a>)`,
		`http://x/"onload="y`:              `<a href="http://x/" rel="noopener">http://x/</a>&#34;onload=&#34;y`,
		"javascript:alert(1)":              "javascript:alert(1)",
		"Change-Id: " + id:                 `Change-Id: <a href="/?q=` + id + `" rel="noopener">` + id + `</a>`,
	} {
		assert.Equal(t, want, web.Linkify(text), text)
	}
}

func TestLocalStaysOnThisServer(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/c/p/+/1": "/c/p/+/1", "": "/", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", "/\t/evil.example": "/",
	} {
		assert.Equal(t, want, web.Local(path), path)
	}
}

func TestQuoteMakesOneValue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"a/b": "a/b", "two words": `"two words"`, `a"b`: `"a\"b"`, "": `""`, "x:y": `"x:y"`} {
		assert.Equal(t, want, web.Quote(text))
	}
}

func TestJobsAreReadFromTheGatesMessage(t *testing.T) {
	t.Parallel()
	jobs := web.Jobs("Patch Set 1: Verified-1\n\nBuild failed (check pipeline).\n\n" +
		"- lint http://gate/build/1 : SUCCESS in 12s\n" +
		"- unit https://gate/build/2 : FAILURE in 1m 02s\n" +
		"* docs http://gate/build/3 : POST_FAILURE in 1h 0m 2s (non-voting)\n" +
		"- skipped : SKIPPED\n" +
		"- not a job: SUCCESS\n- http://only/an/address\n")
	assert.Equal(t, []web.Job{
		{Name: "lint", URL: "http://gate/build/1", Result: "SUCCESS", Took: "12s"},
		{Name: "unit", URL: "https://gate/build/2", Result: "FAILURE", Took: "1m 02s"},
		{Name: "docs", URL: "http://gate/build/3", Result: "POST_FAILURE", Took: "1h 0m 2s", Note: "(non-voting)"},
		{Name: "skipped", Result: "SKIPPED"},
	}, jobs)
	assert.True(t, jobs[0].Good())
	assert.True(t, jobs[1].Counts())
	assert.False(t, jobs[2].Counts())
}

func TestHighlightKeepsTheText(t *testing.T) {
	t.Parallel()
	lines := web.Highlight("x.go", []string{`s := "<b>"`, "", "// end"}, [2]int{0, 1})
	assert.Equal(t, template.HTML(`<span class="nx"><mark>s</mark></span><span class="w"> </span><span class="o">:=</span>`+
		`<span class="w"> </span><span class="s">&#34;&lt;b&gt;&#34;</span>`), lines[0])
	assert.Empty(t, lines[1])
	assert.Contains(t, lines[2], `class="c1"`)

	plain := web.Highlight("unknown.zzz", []string{"a <b> c"}, [2]int{2, 5})
	assert.Equal(t, template.HTML("a <mark>&lt;b&gt;</mark> c"), plain[0])
}

func TestHighlightCutsAMarkAcrossTokens(t *testing.T) {
	t.Parallel()
	lines := web.Highlight("x.go", []string{"a := 1"}, [2]int{2, 6})
	assert.Equal(t, template.HTML(`<span class="nx">a</span><span class="w"> </span><span class="o"><mark>:=</mark></span>`+
		`<span class="w"><mark> </mark></span><span class="mi"><mark>1</mark></span>`), lines[0])
}

func TestWithinMarksTheWordsThatChanged(t *testing.T) {
	t.Parallel()
	removed, added := web.Within("return a + b", "return a - b")
	assert.Equal(t, [][2]int{{9, 10}}, removed)
	assert.Equal(t, [][2]int{{9, 10}}, added)

	removed, added = web.Within("completely different", "0123456789")
	assert.Empty(t, removed)
	assert.Empty(t, added)
}
