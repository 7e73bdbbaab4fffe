package review

import (
	"context"
	"time"
)

// maintenanceEvery is how often repositories are looked after.
const maintenanceEvery = 6 * time.Hour

// Run looks after the repositories (git gc, where there is enough to do) from
// time to time until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(maintenanceEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if err := s.maintain(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "maintenance failed", "err", err)
		}
	}
}

// maintain packs what has accumulated in each repository, one after another.
func (s *Service) maintain(ctx context.Context) error {
	projects, err := s.Projects(ctx, nil, ProjectFilter{})
	if err != nil {
		return err
	}
	for _, p := range projects {
		if err := s.repos.Repo(p.Name).Maintain(ctx); err != nil {
			return err
		}
	}
	return nil
}
