package review

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/gatehouse-dev/gatehouse/review/git"
)

var (
	footerForm       = regexp.MustCompile(`^([A-Za-z0-9-]+):[ \t]*(.*?)[ \t\r]*$`)
	zeroID           = regexp.MustCompile(`^I0+$`)
	idSubjectForm    = regexp.MustCompile(`^Change-Id: I[0-9a-f]{40}`)
	idAnywhere       = regexp.MustCompile(`(?m)^Change-Id:`)
	manyBlankLines   = regexp.MustCompile(`\n\s*\n`)
	changeIDKey      = "change-id"
	changeIDIsNeeded = "missing Change-Id in message footer"
)

// footer is a line "Key: value" of a message's last paragraph.
type footer struct{ key, value string }

// footers are those of the last paragraph; a message of one paragraph has none.
func footers(message string) []footer {
	paragraphs := manyBlankLines.Split(strings.TrimSpace(message), -1)
	if len(paragraphs) < 2 {
		return nil
	}
	var all []footer
	for line := range strings.Lines(paragraphs[len(paragraphs)-1]) {
		if match := footerForm.FindStringSubmatch(strings.TrimSuffix(line, "\n")); match != nil {
			all = append(all, footer{match[1], match[2]})
		}
	}
	return all
}

// refusal says why something that was pushed is refused: reason goes into
// git's report, before it the client prints text.
type refusal struct {
	reason string
	text   string // lines, or ""
}

func (r *refusal) Error() string { return r.reason }

func refuse(format string, args ...any) *refusal {
	return &refusal{reason: fmt.Sprintf(format, args...)}
}

// refuseCommit is a refusal for what is wrong with a commit.
func refuseCommit(c *git.Commit, what, hint string) *refusal {
	reason := fmt.Sprintf("commit %s: %s", c.Hash[:7], what)
	text := "ERROR: " + reason + "\n"
	if hint != "" {
		text += "\n" + hint + "\n"
	}
	return &refusal{reason: reason, text: text}
}

// changeIDOf is the Change-Id of a commit, or why it has no proper one, in
// Gerrit's words (CommitValidators.ChangeIdValidator).
func (s *Service) changeIDOf(caller *Account, c *git.Commit) (string, *refusal) {
	var ids []string
	for _, f := range footers(c.Message) {
		if strings.ToLower(f.key) == changeIDKey {
			ids = append(ids, f.value)
		}
	}
	switch {
	case len(ids) == 0 && idSubjectForm.MatchString(c.Subject()):
		return "", refuseCommit(c, "missing subject; Change-Id must be in message footer", "")
	case len(ids) == 0 && idAnywhere.MatchString(c.Message):
		return "", refuseCommit(c, "Change-Id must be in message footer",
			"Hint: run\n  git commit --amend\nand move 'Change-Id: Ixxx..' to the bottom on a separate line")
	case len(ids) == 0:
		return "", refuseCommit(c, changeIDIsNeeded, s.hookHint(caller))
	case len(ids) > 1:
		return "", refuseCommit(c, "multiple Change-Id lines in message footer", listIDs(ids))
	case !changeIDForm.MatchString(ids[0]) || zeroID.MatchString(ids[0]):
		return "", refuseCommit(c, "invalid Change-Id line format in message footer", s.hookHint(caller))
	}
	return ids[0], nil
}

func listIDs(ids []string) string {
	var b strings.Builder
	b.WriteString("Found Change-Ids:")
	for _, id := range ids {
		mark := "INVALID"
		if changeIDForm.MatchString(id) && !zeroID.MatchString(id) {
			mark = "VALID"
		}
		fmt.Fprintf(&b, "\n* %s [%s]", id, mark)
	}
	b.WriteString("\n\nHint: run\n  git commit --amend\nand keep one of them")
	return b.String()
}

// hookHint tells the caller how to install the commit-msg hook.
func (s *Service) hookHint(caller *Account) string {
	var b strings.Builder
	b.WriteString("Hint: to automatically insert a Change-Id, install the hook:\n")
	if host, port, ok := strings.Cut(s.config.SSH, ":"); ok {
		fmt.Fprintf(&b, "gitdir=$(git rev-parse --git-dir); scp -p -P %s %s@%s:hooks/commit-msg ${gitdir}/hooks/\n", port, caller.Username, host)
		b.WriteString("(for OpenSSH >= 9.0 you need to add the flag '-O' to the scp command)\n")
		b.WriteString("or, for http(s):\n")
	}
	fmt.Fprintf(&b, "f=\"$(git rev-parse --git-dir)/hooks/commit-msg\"; curl -o \"$f\" %s/tools/hooks/commit-msg ; chmod +x \"$f\"\n", s.config.URL)
	b.WriteString("and then amend the commit:\n  git commit --amend --no-edit\nFinally, push your changes again\n")
	return b.String()
}
