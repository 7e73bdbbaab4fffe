package review

import (
	"regexp"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Project is a repository under review.
type Project struct {
	Name        string
	Description string
	Parent      string
	SubmitType  string // MERGE_IF_NECESSARY
	Created     time.Time
}

// Branch is a branch or tag and what it names.
type Branch struct {
	Ref      string // refs/heads/main
	Revision string // SHA-1
}

// Name is the branch without refs/heads/, or a tag without refs/tags/.
func (b *Branch) Name() string {
	return strings.TrimPrefix(strings.TrimPrefix(b.Ref, "refs/heads/"), "refs/tags/")
}

// ProjectFilter narrows a list of projects. The zero value lists all.
type ProjectFilter struct {
	Prefix    string
	Substring string // case does not matter
	Regex     string // of the whole name
	Start     int
	Limit     int // 0: all
}

// NewProject is a project to be made. Only the name is required.
type NewProject struct {
	Name        string
	Description string
	Parent      string
	SubmitType  string
	Branches    []string // the first becomes HEAD; default Config.DefaultBranch
	EmptyCommit bool     // start each branch with a commit without files
}

// The shape of a project's name: path components that are neither hidden nor
// look like a repository's directory, so that no project lies in another.
var projectNameForm = regexp.MustCompile(`^[\pL\pN_@+][\pL\pN_@+.~ -]*(/[\pL\pN_@+][\pL\pN_@+.~ -]*)*$`)

const maxProjectName = 200

// CleanProjectName is the name as it is stored: without a slash at the front
// or end and without .git. A name that cannot be is fault.BadRequest.
func CleanProjectName(name string) (string, error) {
	clean := strings.TrimSuffix(strings.Trim(name, "/"), ".git")
	if len(clean) > maxProjectName || !projectNameForm.MatchString(clean) || strings.Contains(clean, "..") {
		return "", fault.New(fault.BadRequest, "invalid project name: %q", name)
	}
	if strings.HasPrefix(clean, "a/") || strings.HasPrefix(clean, "p/") {
		return "", fault.New(fault.BadRequest, "invalid project name: %q: in addresses /a/ and /p/ mean something else", name)
	}
	for part := range strings.SplitSeq(clean, "/") {
		if strings.HasSuffix(part, ".git") || strings.HasSuffix(part, ".lock") || strings.TrimRight(part, " .") != part {
			return "", fault.New(fault.BadRequest, "invalid project name: %q", name)
		}
	}
	return clean, nil
}
