package query_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review/query"
)

func TestParseFollowsTheGrammar(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "()",
		"  ":                                 "()",
		"status:open":                        "status:open",
		"STATUS:open":                        "status:open",
		"project:a/b status:open":            "(project:a/b status:open)",
		"a AND b":                            "(a b)",
		"a b OR c d":                         "((a b) OR (c d))",
		"a (b OR c)":                         "(a (b OR c))",
		"-a":                                 "-a",
		"NOT a b":                            "(-a b)",
		"-(a OR b)":                          "-(a OR b)",
		"-is:merged -project:x":              "(-is:merged -project:x)",
		"--a":                                "--a",
		`topic:"two words"`:                  "topic:{two words}",
		`topic:{two words}`:                  "topic:{two words}",
		`message:"say \"hi\" {now}"`:         `message:"say \"hi\" {now}"`,
		"message:{https://x/y?z=1}":          "message:{https://x/y?z=1}",
		"label:Code-Review=+2,user=admin":    "label:Code-Review=+2,user=admin",
		"label:Code-Review<=-1":              "label:Code-Review<=-1",
		"label:Verified-1":                   "label:Verified-1",
		"commit:aa OR commit:bb OR commit:c": "(commit:aa OR commit:bb OR commit:c)",
		"topic:a:b":                          "topic:{a:b}",
		"a OR b AND c":                       "(a OR (b c))",
		"(((a)))":                            "a",
		`"OR"`:                               "OR",
		"order or":                           "(order or)",
		"I8a3f~1":                            "I8a3f~1",
		"café":                               "café",
	} {
		expr, err := query.Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, expr.String(), text)
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"(a":                       "missing ) in query",
		"a)":                       `unexpected ")" in query`,
		"a OR":                     "query ends too early",
		"OR a":                     `unexpected "OR" in query`,
		"a AND OR b":               `unexpected "OR" in query`,
		"-":                        "query ends too early",
		"status:":                  "operator status: needs a value",
		"status: open":             "operator status: needs a value",
		`topic:"x`:                 `missing closing " in query`,
		"topic:{x":                 "missing closing } in query",
		"a}":                       `unexpected "}" in query`,
		"()":                       `unexpected ")" in query`,
		strings.Repeat("(", 999):   "query nests too deeply",
		strings.Repeat("-", 999):   "query nests too deeply",
		strings.Repeat("a ", 9999): "too many terms in query",
		"\xff":                     "query is not UTF-8",
	} {
		_, err := query.Parse(text)
		var wrong *query.Error
		require.ErrorAs(t, err, &wrong, text)
		assert.Equal(t, want, wrong.Message, text)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a", "-(a OR b:c)", `x:"y\""`, "x:{y} AND z", "((", "a:b:c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		expr, err := query.Parse(text)
		if err != nil {
			return
		}
		if _, empty := expr.(query.And); empty && expr.String() == "()" {
			return
		}
		again, err := query.Parse(expr.String())
		require.NoError(t, err, "%q", expr.String())
		assert.Equal(t, expr.String(), again.String())
	})
}
