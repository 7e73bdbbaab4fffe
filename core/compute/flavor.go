package compute

import (
	"context"
	"slices"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Flavor is a size of server.
type Flavor struct {
	ID          string
	Name        string
	Description string
	VCPUs       int
	MemoryMB    int
	DiskGB      int // of the root disk; 0: as large as the image
	EphemeralGB int
	SwapMB      int
	RXTXFactor  float64
	Private     bool // only projects with access may use it
	Disabled    bool
	ExtraSpecs  map[string]string
}

// CreateFlavor makes a flavor. It reports fault.Conflict if its name or id is
// in use.
func (s *Service) CreateFlavor(ctx context.Context, f Flavor) error {
	return s.store.insertFlavor(ctx, f)
}

// Flavors lists, by id, the flavors that the caller can see. With all, an
// administrator sees the private ones, too.
func (s *Service) Flavors(ctx context.Context, c Caller, all bool) ([]Flavor, error) {
	flavors, err := s.store.flavors(ctx)
	if err != nil || (all && c.Admin) {
		return flavors, err
	}
	granted, err := s.store.accessibleFlavors(ctx, c.ProjectID)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(flavors, func(f Flavor) bool { return f.Private && !granted[f.ID] }), nil
}

// Flavor finds a flavor that the caller can see, or reports fault.NotFound.
func (s *Service) Flavor(ctx context.Context, c Caller, id string) (Flavor, error) {
	f, err := s.store.flavor(ctx, id)
	if err != nil || !f.Private || c.Admin {
		return f, err
	}
	granted, err := s.store.accessibleFlavors(ctx, c.ProjectID)
	if err == nil && !granted[id] {
		err = flavorNotFound(id)
	}
	return f, err
}

// DeleteFlavor removes a flavor; servers made with it keep its sizes.
func (s *Service) DeleteFlavor(ctx context.Context, id string) error {
	return s.store.deleteFlavor(ctx, id)
}

// ChangeFlavor applies change to what a flavor says of itself (description
// and extra specs), and returns the result.
func (s *Service) ChangeFlavor(ctx context.Context, id string, change func(*Flavor) error) (Flavor, error) {
	return s.store.changeFlavor(ctx, id, change)
}

// FlavorAccess lists the projects that may use a private flavor.
func (s *Service) FlavorAccess(ctx context.Context, id string) ([]string, error) {
	f, err := s.store.flavor(ctx, id)
	if err != nil {
		return nil, err
	}
	if !f.Private {
		return nil, fault.New(fault.NotFound, "Access list not available for public flavors.")
	}
	return s.store.flavorAccess(ctx, id)
}

// AddFlavorAccess lets a project use a private flavor.
func (s *Service) AddFlavorAccess(ctx context.Context, id, project string) error {
	f, err := s.store.flavor(ctx, id)
	if err != nil {
		return err
	}
	if !f.Private {
		return fault.New(fault.Conflict, "Can not add access to a public flavor.")
	}
	return s.store.addFlavorAccess(ctx, id, project)
}

// RemoveFlavorAccess takes a private flavor from a project.
func (s *Service) RemoveFlavorAccess(ctx context.Context, id, project string) error {
	if _, err := s.store.flavor(ctx, id); err != nil {
		return err
	}
	return s.store.removeFlavorAccess(ctx, id, project)
}

func flavorNotFound(id string) error {
	return fault.New(fault.NotFound, "Flavor %s could not be found.", id)
}
