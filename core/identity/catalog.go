package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// CatalogService is a service of the cloud as its catalog announces it.
type CatalogService struct {
	Type string // OpenStack's service type, e.g. "compute"
	Name string // e.g. "nova"
	// Path follows the scheme and authority of the endpoint's URL, e.g.
	// "/compute/v2.1". "{project_id}" in it stands for the project of the
	// token; tokens without a project then do not see the endpoint.
	Path string
}

// ID identifies the service for clients: the same on every start.
func (c CatalogService) ID() string { return stableID("service", c.Type) }

// Endpoint is where a service is reached.
type Endpoint struct {
	ID, ServiceID string
	Interface     string // "public", "internal" or "admin"
	Region        string
	URL           string
}

const projectPlaceholder = "{project_id}"

// Services lists the services of the catalog.
func (s *Service) Services() []CatalogService { return s.config.Catalog }

// Endpoints lists the endpoints of a service. Its URLs begin with origin
// unless a PublicURL is configured; without a project they keep OpenStack's
// placeholder for it.
func (s *Service) Endpoints(c CatalogService, origin, projectID string) []Endpoint {
	if s.config.PublicURL != "" {
		origin = strings.TrimSuffix(s.config.PublicURL, "/")
	}
	if projectID == "" {
		projectID = "$(project_id)s"
	}
	url := origin + strings.ReplaceAll(c.Path, projectPlaceholder, projectID)
	var all []Endpoint
	for _, name := range []string{"public", "internal", "admin"} {
		all = append(all, Endpoint{
			ID: stableID("endpoint", c.Type, name), ServiceID: c.ID(),
			Interface: name, Region: s.config.Region, URL: url,
		})
	}
	return all
}

// Visible reports whether a token on the given project, if any, has endpoints
// of the service.
func (c CatalogService) Visible(projectID string) bool {
	return projectID != "" || !strings.Contains(c.Path, projectPlaceholder)
}

func (s *Service) service(id string) (CatalogService, error) {
	for _, c := range s.config.Catalog {
		if c.ID() == id {
			return c, nil
		}
	}
	return CatalogService{}, fault.New(fault.NotFound, "Could not find service: %s.", id)
}

func stableID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}
