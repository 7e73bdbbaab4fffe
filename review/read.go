package review

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

func changeNotFound(text string) error { return fault.New(fault.NotFound, "Not found: %s", text) }

// Change is the change of that number, or fault.NotFound.
func (s *Service) Change(ctx context.Context, caller *Account, number int64) (*Change, error) {
	return visibleChange(ctx, s.db, caller, number)
}

func visibleChange(ctx context.Context, q querier, caller *Account, number int64) (*Change, error) {
	c, err := selectChange(ctx, q, `WHERE c.number = $1 AND `+visibleCondition("$2", caller.admin()), number, caller.id())
	if err == nil && c == nil {
		err = changeNotFound(strconv.FormatInt(number, 10))
	}
	return c, err
}

var changeIDForm = regexp.MustCompile(`^I[0-9a-f]{40}$`)

// FindChange finds a change by any of Gerrit's ids: NUMBER, Change-Id,
// PROJECT~NUMBER, PROJECT~BRANCH~Change-Id, their parts percent-encoded. None,
// or several, is fault.NotFound.
func (s *Service) FindChange(ctx context.Context, caller *Account, id string) (*Change, error) {
	parts := strings.Split(id, "~")
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil {
			return nil, changeNotFound(id)
		}
	}
	last := parts[len(parts)-1]
	var where string
	var args []any
	number, err := strconv.ParseInt(last, 10, 64)
	switch {
	case err == nil && len(parts) == 1:
		where, args = `c.number = ?`, []any{number}
	case err == nil && len(parts) == 2:
		where, args = `c.number = ? AND c.project = ?`, []any{number, parts[0]}
	case changeIDForm.MatchString(last) && len(parts) == 1:
		where, args = `c.change_id = ?`, []any{last}
	case changeIDForm.MatchString(last) && len(parts) == 2:
		where, args = `c.change_id = ? AND c.project = ?`, []any{last, parts[0]}
	case changeIDForm.MatchString(last) && len(parts) == 3:
		where, args = `c.change_id = ? AND c.project = ? AND c.branch = ?`, []any{last, parts[0], shortBranch(parts[1])}
	default:
		return nil, changeNotFound(id)
	}
	found, _, err := s.Search(ctx, caller, Query{Where: where, Args: args, Limit: 2})
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, changeNotFound(id)
	}
	return &found[0], nil
}

// Search lists the changes that the query selects and the caller may see, the
// last updated first; more says that there are further ones.
func (s *Service) Search(ctx context.Context, caller *Account, q Query) (changes []Change, more bool, err error) {
	if q.Limit <= 0 || q.Limit > MaxLimit {
		q.Limit = MaxLimit
	}
	where := q.Where
	if where == "" {
		where = "1 = 1"
	}
	condition, n := numbered(where)
	if n != len(q.Args) {
		return nil, false, fmt.Errorf("search: %d arguments for %q", len(q.Args), q.Where)
	}
	rest := fmt.Sprintf(`WHERE (%s) AND %s ORDER BY c.updated DESC, c.number DESC LIMIT $%d OFFSET $%d`,
		condition, visibleCondition(fmt.Sprintf("$%d", n+1), caller.admin()), n+2, n+3)
	args := append(append([]any(nil), q.Args...), caller.id(), q.Limit+1, max(q.Start, 0))
	if changes, err = selectChanges(ctx, s.db, rest, args...); err != nil {
		return nil, false, err
	}
	if len(changes) > q.Limit {
		return changes[:q.Limit], true, nil
	}
	return changes, false, nil
}

// numbered replaces each ? by $1, $2, … and counts them. Conditions hold no
// text literals with a ? in them: texts are arguments.
func numbered(condition string) (string, int) {
	var b strings.Builder
	n := 0
	for i := range len(condition) {
		if condition[i] != '?' {
			b.WriteByte(condition[i])
			continue
		}
		n++
		fmt.Fprintf(&b, "$%d", n)
	}
	return b.String(), n
}

// PatchSet is a patch set of a change: revision is "current", its number, or
// its commit's SHA-1, whole or at least 4 digits. Otherwise fault.NotFound.
func (s *Service) PatchSet(ctx context.Context, caller *Account, number int64, revision string) (*PatchSet, error) {
	c, err := s.Change(ctx, caller, number)
	if err != nil {
		return nil, err
	}
	var sets []PatchSet
	n, err := strconv.Atoi(revision)
	switch {
	case revision == "current":
		sets, err = selectPatchSets(ctx, s.db, `WHERE p.change = $1 AND p.number = $2`, number, c.PatchSet)
	case err == nil && len(revision) < 7:
		sets, err = selectPatchSets(ctx, s.db, `WHERE p.change = $1 AND p.number = $2`, number, n)
	case revisionForm.MatchString(revision):
		sets, err = selectPatchSets(ctx, s.db, `WHERE p.change = $1 AND p.revision LIKE $2 LIMIT 2`, number, revision+"%")
	default:
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if len(sets) != 1 {
		return nil, changeNotFound(revision)
	}
	return &sets[0], nil
}

var revisionForm = regexp.MustCompile(`^[0-9a-f]{4,40}$`)

// PatchSetsOfRevision lists the patch sets whose commit begins with revision,
// of changes that the caller may see; for commands that name a commit only.
func (s *Service) PatchSetsOfRevision(ctx context.Context, caller *Account, revision string) ([]PatchSet, error) {
	if !revisionForm.MatchString(revision) {
		return nil, nil
	}
	condition := visibleCondition("$3", caller.admin())
	return selectPatchSets(ctx, s.db, `JOIN changes c ON c.number = p.change
		WHERE p.revision >= $1 AND p.revision < $2 AND `+condition, revision, revision+"g", caller.id())
}
