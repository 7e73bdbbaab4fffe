package identity

import (
	"context"
	"database/sql"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Project owns servers, images and volumes. A domain is a project too, as in
// Keystone: it has IsDomain set, no domain of its own, and owns users.
type Project struct {
	ID          string
	DomainID    string // empty for a domain
	ParentID    string // the project or domain above; empty for a domain
	IsDomain    bool
	Name        string
	Description string
	Enabled     bool
	Tags        []string
	Options     Options
	Extra       map[string]any // further attributes, as clients sent them
}

func (p Project) kind() string {
	if p.IsDomain {
		return "domain"
	}
	return "project"
}

// ProjectFilter picks projects, or domains. Empty fields match all.
type ProjectFilter struct {
	Name, DomainID, ParentID string
	IsDomain                 bool
}

// maxTags is how many tags a project may have.
const maxTags = 80

func (p Project) validate() error {
	if err := checkName(p.Name, 64); err != nil {
		return err
	}
	if len(p.Tags) > maxTags {
		return fault.New(fault.BadRequest, "Invalid input for field 'tags': more than %d tags.", maxTags)
	}
	for _, tag := range p.Tags {
		if tag == "" || utf8.RuneCountInString(tag) > 255 || strings.ContainsAny(tag, "/,") {
			return fault.New(fault.BadRequest, "Invalid input for field 'tags': %q does not match '^[^,/]*$' or is not 1 to 255 characters long.", tag)
		}
	}
	return nil
}

// checkName applies Keystone's rule for names: not blank, at most maximum
// characters.
func checkName(name string, maximum int) error {
	switch {
	case strings.TrimSpace(name) == "":
		return fault.New(fault.BadRequest, "Invalid input for field 'name': %q should be non-empty.", name)
	case utf8.RuneCountInString(name) > maximum:
		return fault.New(fault.BadRequest, "Invalid input for field 'name': it is longer than %d characters.", maximum)
	}
	return nil
}

// CreateProject makes a project, or a domain; its id is chosen here. Without a
// parent the project stands directly below its domain.
func (s *Service) CreateProject(ctx context.Context, p Project) (Project, error) {
	if err := p.validate(); err != nil {
		return Project{}, err
	}
	p.ID = newID()
	err := s.change(ctx, func(tx *sql.Tx) error {
		if err := p.place(ctx, tx); err != nil {
			return err
		}
		return insertProject(ctx, tx, p)
	})
	return p, err
}

// place settles a new project's domain and parent.
func (p *Project) place(ctx context.Context, tx *sql.Tx) error {
	if p.IsDomain {
		if p.ParentID != "" || p.DomainID != "" {
			return fault.New(fault.BadRequest, "A domain has neither a domain nor a parent.")
		}
		return nil
	}
	if p.ParentID == "" {
		p.ParentID = p.DomainID
	}
	parent, err := selectProject(ctx, tx, p.ParentID)
	if err != nil {
		return err
	}
	domain := parent.DomainID
	if parent.IsDomain {
		domain = parent.ID
	}
	if p.DomainID == "" {
		p.DomainID = domain
	}
	if p.DomainID != domain {
		return fault.New(fault.BadRequest, "Cannot create project, the parent (its domain_id: %s) is of another domain than %s.", domain, p.DomainID)
	}
	return nil
}

// Project finds a project, or a domain.
func (s *Service) Project(ctx context.Context, id string) (Project, error) {
	return selectProject(ctx, s.db, id)
}

// ProjectByName finds a project in a domain; with no domain, it finds a domain.
func (s *Service) ProjectByName(ctx context.Context, domainID, name string) (Project, error) {
	return selectProjectByName(ctx, s.db, domainID, name)
}

// Domain finds a domain.
func (s *Service) Domain(ctx context.Context, id string) (Project, error) {
	return selectDomain(ctx, s.db, id)
}

// Projects lists projects, or domains, by name.
func (s *Service) Projects(ctx context.Context, f ProjectFilter) ([]Project, error) {
	return selectProjects(ctx, s.db, f)
}

// Subtree lists the projects below a project, nearer ones first.
func (s *Service) Subtree(ctx context.Context, id string) ([]Project, error) {
	all, err := selectSubtree(ctx, s.db, id)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[1:], nil
}

// Parents lists the projects above a project, the nearest first, without its
// domain.
func (s *Service) Parents(ctx context.Context, id string) ([]Project, error) {
	return selectParents(ctx, s.db, id)
}

// UpdateProject lets edit alter a project's or domain's name, description,
// tags, attributes, and whether it is enabled. Disabling revokes its tokens.
func (s *Service) UpdateProject(ctx context.Context, id string, edit func(*Project) error) (Project, error) {
	var p Project
	err := s.change(ctx, func(tx *sql.Tx) error {
		before, err := selectProject(ctx, tx, id)
		if err != nil {
			return err
		}
		p = before
		if err := edit(&p); err != nil {
			return err
		}
		if err := p.validate(); err != nil {
			return err
		}
		if err := checkUpdate(p.kind(), id, before.Options, p.Options); err != nil {
			return err
		}
		if before.ID == DefaultDomainID && !p.Enabled {
			return fault.New(fault.Forbidden, "The default domain cannot be disabled.")
		}
		if before.Enabled && !p.Enabled {
			if err := deleteTokensIn(ctx, tx, id); err != nil {
				return err
			}
		}
		return updateProject(ctx, tx, p)
	})
	return p, err
}

// DeleteProject removes a project and every right on it. One that has projects
// below it cannot be removed.
func (s *Service) DeleteProject(ctx context.Context, id string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		p, err := selectProject(ctx, tx, id)
		if err != nil {
			return err
		}
		if p.IsDomain {
			return deleteDomain(ctx, tx, p)
		}
		if err := checkDelete(p.kind(), id, p.Options); err != nil {
			return err
		}
		subtree, err := selectSubtree(ctx, tx, id)
		if err != nil {
			return err
		}
		if len(subtree) > 1 {
			return fault.New(fault.Forbidden, "Cannot delete the project %s since it is not a leaf in the hierarchy. "+
				"Use the cascade option if you want to delete a whole subtree.", id)
		}
		return deleteProject(ctx, tx, id)
	})
}

// deleteDomain removes a disabled domain with everything in it.
func deleteDomain(ctx context.Context, tx *sql.Tx, domain Project) error {
	switch {
	case domain.ID == DefaultDomainID:
		return fault.New(fault.Forbidden, "The default domain cannot be deleted.")
	case domain.Enabled:
		return fault.New(fault.Forbidden, "Cannot delete a domain that is enabled, please disable it first.")
	}
	if err := checkDelete("domain", domain.ID, domain.Options); err != nil {
		return err
	}
	subtree, err := selectSubtree(ctx, tx, domain.ID)
	if err != nil {
		return err
	}
	for len(subtree) > 1 { // the deepest first
		last := subtree[len(subtree)-1]
		if err := deleteProject(ctx, tx, last.ID); err != nil {
			return err
		}
		subtree = subtree[:len(subtree)-1]
	}
	if err := deleteDomainContents(ctx, tx, domain.ID); err != nil {
		return err
	}
	return deleteProject(ctx, tx, domain.ID)
}

// DeleteDomain removes a disabled domain with its projects, users, groups and
// roles.
func (s *Service) DeleteDomain(ctx context.Context, id string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		domain, err := selectDomain(ctx, tx, id)
		if err != nil {
			return err
		}
		return deleteDomain(ctx, tx, domain)
	})
}
