package review

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review/git"
)

const (
	headsPrefix   = "refs/heads/"
	tagsPrefix    = "refs/tags/"
	changesPrefix = "refs/changes/"
)

// submitTypes are those that submission knows.
var submitTypes = map[string]bool{"MERGE_IF_NECESSARY": true}

// Projects lists projects by name.
func (s *Service) Projects(ctx context.Context, _ *Account, f ProjectFilter) ([]Project, error) {
	var form *regexp.Regexp
	if f.Regex != "" {
		var err error
		if form, err = regexp.Compile("^(?:" + strings.TrimSuffix(strings.TrimPrefix(f.Regex, "^"), "$") + ")$"); err != nil {
			return nil, fault.New(fault.BadRequest, "invalid regular expression: %v", err)
		}
	}
	all, err := selectProjects(ctx, s.db, `name LIKE $1 ESCAPE '\' AND name LIKE $2 ESCAPE '\' ORDER BY name`,
		likeEscape(f.Prefix)+"%", "%"+likeEscape(f.Substring)+"%")
	if err != nil {
		return nil, err
	}
	var found []Project
	for _, p := range all {
		if strings.HasPrefix(p.Name, f.Prefix) && (form == nil || form.MatchString(p.Name)) {
			found = append(found, p)
		}
	}
	found = found[min(f.Start, len(found)):]
	if f.Limit > 0 {
		found = found[:min(f.Limit, len(found))]
	}
	return found, nil
}

func selectProjects(ctx context.Context, q querier, where string, args ...any) ([]Project, error) {
	rows, err := q.QueryContext(ctx, `SELECT name, description, parent, submit_type, created FROM projects WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("select projects: %w", err)
	}
	return collect(rows, func(p *Project) []any {
		return []any{&p.Name, &p.Description, &p.Parent, &p.SubmitType, (*timeColumn)(&p.Created)}
	})
}

// Project is the project of that name, or fault.NotFound.
func (s *Service) Project(ctx context.Context, _ *Account, name string) (*Project, error) {
	found, err := selectProjects(ctx, s.db, `name = $1`, name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "Not found: %s", name)
	}
	return &found[0], nil
}

// CreateProject makes a project and its repository; administrators may. A
// name that is taken is fault.Conflict.
func (s *Service) CreateProject(ctx context.Context, caller *Account, n NewProject) (*Project, error) {
	if err := administrator(caller, "create project"); err != nil {
		return nil, err
	}
	if len(n.Branches) == 0 {
		n.Branches = []string{s.config.DefaultBranch}
	}
	p, branches, err := n.check()
	if err != nil {
		return nil, err
	}
	defer s.locks.lock(p.Name)()
	if _, err := s.Project(ctx, caller, p.Name); err == nil {
		return nil, errProjectExists(p.Name)
	}
	repo, err := s.repos.Create(ctx, p.Name, branches[0])
	if err != nil {
		return nil, err
	}
	var updates []git.Update
	if n.EmptyCommit {
		if updates, err = initialCommits(ctx, repo, caller, branches); err != nil {
			return nil, err
		}
	}
	err = s.writeRefs(ctx, p.Name, updates, func(t *tx) error { return s.insertProject(ctx, t, caller, p, branches[0], updates) })
	return p, err
}

func errProjectExists(name string) error {
	return fault.New(fault.Conflict, "Project '%s' already exists", name)
}

// check is the project and its branches as refs.
func (n NewProject) check() (*Project, []string, error) {
	name, err := CleanProjectName(n.Name)
	if err != nil {
		return nil, nil, err
	}
	p := &Project{Name: name, Description: n.Description, Parent: n.Parent, SubmitType: n.SubmitType}
	if p.Parent == "" {
		p.Parent = "All-Projects"
	}
	if p.SubmitType == "" || p.SubmitType == "INHERIT" {
		p.SubmitType = "MERGE_IF_NECESSARY"
	}
	if !submitTypes[p.SubmitType] {
		return nil, nil, fault.New(fault.BadRequest, "submit type %s is not supported", p.SubmitType)
	}
	var refs []string
	for _, b := range n.Branches {
		ref, err := branchRef(b)
		if err != nil {
			return nil, nil, err
		}
		refs = append(refs, ref)
	}
	return p, refs, nil
}

// branchRef is the ref of a branch given by its short or its full name.
func branchRef(branch string) (string, error) {
	ref := branch
	if !strings.HasPrefix(ref, "refs/") {
		ref = headsPrefix + strings.TrimPrefix(branch, "/")
	}
	if !strings.HasPrefix(ref, headsPrefix) || !git.ValidRef(ref) {
		return "", fault.New(fault.BadRequest, "%q is not a valid branch name", branch)
	}
	return ref, nil
}

// initialCommits makes a commit without files for each branch.
func initialCommits(ctx context.Context, repo *git.Repo, by *Account, branches []string) ([]git.Update, error) {
	tree, err := repo.EmptyTree(ctx)
	if err != nil {
		return nil, err
	}
	ident := git.Ident{Name: by.Name(), Email: by.Email, When: time.Now().UTC().Truncate(time.Second)}
	hash, err := repo.Write(git.Commit{Tree: tree, Author: ident, Committer: ident, Message: "Initial empty repository\n"})
	if err != nil {
		return nil, err
	}
	var updates []git.Update
	for _, b := range branches {
		updates = append(updates, git.Update{Ref: b, Old: git.Zero, New: hash})
	}
	return updates, nil
}

func (s *Service) insertProject(ctx context.Context, t *tx, by *Account, p *Project, head string, updates []git.Update) error {
	p.Created = t.at
	err := t.exec(ctx, "insert project", `INSERT INTO projects (name, description, parent, submit_type, created) VALUES ($1, $2, $3, $4, $5)`,
		p.Name, p.Description, p.Parent, p.SubmitType, micros(t.at))
	if db.IsUnique(err) {
		return errProjectExists(p.Name)
	}
	if err != nil {
		return err
	}
	if err := s.announceProject(ctx, t, p.Name, head); err != nil {
		return err
	}
	for _, u := range updates {
		if err := s.announceRef(ctx, t, by, RefUpdateAttribute{OldRev: u.Old, NewRev: u.New, RefName: u.Ref, Project: p.Name}); err != nil {
			return err
		}
	}
	return nil
}

// SetDescription says what a project is; administrators may.
func (s *Service) SetDescription(ctx context.Context, caller *Account, name, text string) error {
	if err := administrator(caller, "write project.config"); err != nil {
		return err
	}
	if _, err := s.Project(ctx, caller, name); err != nil {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		return t.exec(ctx, "describe project", `UPDATE projects SET description = $1 WHERE name = $2`, text, name)
	})
}
