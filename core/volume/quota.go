package volume

import (
	"context"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Quotas limit what a project may have at a time; -1 is no limit.
type Quotas struct {
	Volumes, Snapshots int
	Gigabytes          int // of volumes and snapshots together
	PerVolumeGigabytes int

	// Clients set these as well; there is nothing yet that they limit.
	Backups, BackupGigabytes, Groups int
}

// DefaultQuotas are Cinder's.
var DefaultQuotas = Quotas{
	Volumes: 10, Snapshots: 10, Gigabytes: 1000, PerVolumeGigabytes: -1, Backups: 10, BackupGigabytes: 1000, Groups: 10,
}

// Usage is what a project, or everybody together, has.
type Usage struct{ Volumes, Snapshots, VolumeGB, SnapshotGB int }

// Gigabytes is what counts for the quota of that name.
func (u Usage) Gigabytes() int { return u.VolumeGB + u.SnapshotGB }

// resources are the quotas that can be set, by their names in the API.
func (q *Quotas) resources() map[string]*int {
	return map[string]*int{
		"volumes": &q.Volumes, "snapshots": &q.Snapshots, "gigabytes": &q.Gigabytes, "per_volume_gigabytes": &q.PerVolumeGigabytes,
		"backups": &q.Backups, "backup_gigabytes": &q.BackupGigabytes, "groups": &q.Groups,
	}
}

// allowVolume checks that a project that has used may have one more volume.
func (q Quotas) allowVolume(used Usage, sizeGB int) error {
	if q.Volumes >= 0 && used.Volumes >= q.Volumes {
		return fault.New(fault.OverQuota, "VolumeLimitExceeded: Maximum number of volumes allowed (%d) exceeded for quota 'volumes'.", q.Volumes)
	}
	return q.allowSize(used, sizeGB, sizeGB)
}

// allowSnapshot checks that a project that has used may have one more
// snapshot.
func (q Quotas) allowSnapshot(used Usage, sizeGB int) error {
	if q.Snapshots >= 0 && used.Snapshots >= q.Snapshots {
		return fault.New(fault.OverQuota, "SnapshotLimitExceeded: Maximum number of snapshots allowed (%d) exceeded", q.Snapshots)
	}
	return q.allowSize(used, 0, sizeGB)
}

// allowSize checks that a volume may have sizeGB, more of which are new.
func (q Quotas) allowSize(used Usage, sizeGB, more int) error {
	if q.PerVolumeGigabytes >= 0 && sizeGB > q.PerVolumeGigabytes {
		return fault.New(fault.OverQuota, "VolumeSizeExceedsLimit: Requested volume size %dG is larger than maximum allowed limit %dG.",
			sizeGB, q.PerVolumeGigabytes)
	}
	if q.Gigabytes >= 0 && used.Gigabytes()+more > q.Gigabytes {
		return fault.New(fault.OverQuota, "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. "+
			"Requested %dG, quota is %dG and %dG has been consumed.", more, q.Gigabytes, used.Gigabytes())
	}
	return nil
}

// Quotas returns the limits of a project, and what it has of them.
func (s *Service) Quotas(ctx context.Context, project string) (Quotas, Usage, error) {
	return s.store.quotas(ctx, s.store.db, project)
}

// SetQuotas gives a project limits of its own, by their names in the API; the
// others stay as they are.
func (s *Service) SetQuotas(ctx context.Context, project string, limits map[string]int) (Quotas, error) {
	for name, limit := range limits {
		if (&Quotas{}).resources()[name] == nil {
			return Quotas{}, fault.New(fault.BadRequest, "Bad key(s) in quota set: %s", name)
		}
		if limit < -1 {
			return Quotas{}, fault.New(fault.BadRequest, "Quota limit must be in the range of -1 to 2147483647: %s is %d.", name, limit)
		}
	}
	if err := s.store.setQuotas(ctx, project, limits); err != nil {
		return Quotas{}, err
	}
	quotas, _, err := s.Quotas(ctx, project)
	return quotas, err
}

// ResetQuotas gives a project the default limits again.
func (s *Service) ResetQuotas(ctx context.Context, project string) error {
	return s.store.deleteQuotas(ctx, project)
}
