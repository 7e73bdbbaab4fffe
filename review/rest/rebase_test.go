package rest_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestABaseThatCannotBeIsRefusedAsGerritDoes(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Project(t, "p")
	s.Project(t, "q")
	for _, project := range []string{"p", "q"} {
		c := s.Clone(t, "ann", project)
		c.Commit("f.txt", "f\n", "Subject")
		c.Git("push", "-q", "origin", "HEAD:refs/for/main")
	}
	missing := strings.Repeat("1", 39) + "a"
	for base, want := range map[string]struct {
		status int
		text   string
	}{
		"1":     {http.StatusConflict, "cannot rebase change onto itself"},
		"2":     {http.StatusConflict, "base change is targeting wrong branch: q,refs/heads/main"},
		"77":    {http.StatusUnprocessableEntity, "Base change not found: 77"},
		missing: {http.StatusConflict, "base revision is missing from the destination branch: " + missing},
	} {
		s.call("ann", "POST /a/changes/1/rebase", `{"base":"`+base+`"}`).fails(want.status, want.text)
	}
}
