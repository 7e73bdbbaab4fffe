package review_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

var changeIDLine = regexp.MustCompile(`(?m)^Change-Id: I[0-9a-f]{40}$`)

// TestHookAddsTheChangeID commits with the hook that the server hands out.
func TestHookAddsTheChangeID(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	tests := []struct {
		name, message, want string // ID stands for the Change-Id's line
	}{
		{"subject only", "Subject", "Subject\n\nID"},
		{"body", "Subject\n\nBody: not a trailer\nbut text.", "Subject\n\nBody: not a trailer\nbut text.\n\nID"},
		{"trailers", "Subject\n\nBug: 17", "Subject\n\nBug: 17\nID"},
		{"signed off", "Subject\n\nText.\n\nBug: 17\nSigned-off-by: A <a@example.com>", "Subject\n\nText.\n\nBug: 17\nID\nSigned-off-by: A <a@example.com>"},
		{"signed off twice", "Subject\n\nSigned-off-by: A <a@example.com>\nSigned-off-by: B <b@example.com>",
			"Subject\n\nID\nSigned-off-by: A <a@example.com>\nSigned-off-by: B <b@example.com>"},
		{"there is one", "Subject\n\nChange-Id: " + someID, "Subject\n\nChange-Id: " + someID},
		{"fixup", "fixup! Subject", "fixup! Subject"},
		{"squash", "squash! Subject\n\nText.", "squash! Subject\n\nText."},
		{"comments", "Subject\n# a comment", "Subject\n\nID"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c.Git("commit", "-q", "--allow-empty", "--cleanup=strip", "-m", test.message)
			got := c.Git("log", "-1", "--format=%B")
			if strings.Contains(test.want, "ID\n") || strings.HasSuffix(test.want, "ID") {
				assert.Len(t, changeIDLine.FindAllString(got, -1), 1, "%s", got)
				got = changeIDLine.ReplaceAllString(got, "ID")
			}
			assert.Equal(t, test.want, got)
		})
	}
	c.Git("config", "gerrit.createChangeId", "false")
	c.Git("commit", "-q", "--allow-empty", "-m", "Without")
	assert.Equal(t, "Without", c.Git("log", "-1", "--format=%B"))
	c.Git("config", "gerrit.createChangeId", "true")
	c.Git("config", "gerrit.reviewUrl", "https://review.example.com/")
	c.Git("commit", "-q", "--allow-empty", "-m", "Linked")
	assert.Regexp(t, `^Linked\n\nLink: https://review\.example\.com/id/I[0-9a-f]{40}$`, c.Git("log", "-1", "--format=%B"))
}

func TestHookKeepsTheChangeIDOnAmend(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	c := site.Clone(t, "ann", "p")
	proper(c)
	before := changeIDLine.FindString(c.Git("log", "-1", "--format=%B"))
	c.Amend("f.txt", "g\n")
	assert.NotEmpty(t, before)
	assert.Equal(t, before, changeIDLine.FindString(c.Git("log", "-1", "--format=%B")))
}
