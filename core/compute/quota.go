package compute

import (
	"context"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Quotas are the limits of a project (KeyPairs: of a user). -1 is no limit.
type Quotas struct {
	Instances, Cores, RAMMB, KeyPairs, MetadataItems int
}

// DefaultQuotas are Nova's.
var DefaultQuotas = Quotas{Instances: 10, Cores: 20, RAMMB: 51200, KeyPairs: 100, MetadataItems: 128}

// resources names the fields of Quotas as the API does.
func (q *Quotas) resources() map[string]*int {
	return map[string]*int{
		"instances": &q.Instances, "cores": &q.Cores, "ram": &q.RAMMB,
		"key_pairs": &q.KeyPairs, "metadata_items": &q.MetadataItems,
	}
}

// Usage is what the servers of a project (or of all) have claimed.
type Usage struct{ Instances, Cores, RAMMB int }

// Quota returns a project's limits.
func (s *Service) Quota(ctx context.Context, project string) (Quotas, error) {
	return s.store.quotas(ctx, project, s.config.Quotas)
}

// DefaultQuota returns the limits of a project that has none of its own.
func (s *Service) DefaultQuota() Quotas { return s.config.Quotas }

// SetQuota sets some of a project's limits, named as in the API. Unless
// forced, none may be below what is in use: fault.BadRequest.
func (s *Service) SetQuota(ctx context.Context, project string, limits map[string]int, force bool) error {
	usage, err := s.store.usage(ctx, project)
	if err != nil {
		return err
	}
	used := map[string]int{"instances": usage.Instances, "cores": usage.Cores, "ram": usage.RAMMB}
	for resource, limit := range limits {
		if limit < -1 {
			return fault.New(fault.BadRequest, "Quota limit %d for %s must be -1 or greater.", limit, resource)
		}
		if !force && limit >= 0 && limit < used[resource] {
			return fault.New(fault.BadRequest, "Quota limit %d for %s must be greater than or equal to already used and reserved %d.",
				limit, resource, used[resource])
		}
	}
	return s.store.setQuotas(ctx, project, limits)
}

// ResetQuota gives a project the default limits again.
func (s *Service) ResetQuota(ctx context.Context, project string) error {
	return s.store.deleteQuotas(ctx, project)
}

// Usage returns what a project's servers have claimed.
func (s *Service) Usage(ctx context.Context, project string) (Usage, error) {
	return s.store.usage(ctx, project)
}

// allow reports fault.OverQuota if count more servers of a flavor are too many.
func (q Quotas) allow(used Usage, f Flavor, count int) error {
	var names, asked, had, allowed []string
	check := func(name string, limit, used, more int) {
		if limit >= 0 && used+more > limit {
			names, asked = append(names, name), append(asked, strconv.Itoa(more))
			had, allowed = append(had, strconv.Itoa(used)), append(allowed, strconv.Itoa(limit))
		}
	}
	check("cores", q.Cores, used.Cores, count*f.VCPUs)
	check("instances", q.Instances, used.Instances, count)
	check("ram", q.RAMMB, used.RAMMB, count*f.MemoryMB)
	if len(names) == 0 {
		return nil
	}
	list := func(words []string) string { return strings.Join(words, ", ") }
	return fault.New(fault.OverQuota, "Quota exceeded for %s: Requested %s, but already used %s of %s %s",
		list(names), list(asked), list(had), list(allowed), list(names))
}

// HostUsage returns what all servers have claimed of the host.
func (s *Service) HostUsage(ctx context.Context) (Usage, error) {
	return s.store.hostUsage(ctx)
}
