package compute

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// ServerFilter picks servers. The zero value picks all of every project.
type ServerFilter struct {
	ProjectID                        string
	UserID                           string
	Name, IP                         *regexp.Regexp
	Statuses                         []string // any of them; nil: all
	ImageID, FlavorID, Host, KeyName string
	Locked                           *bool
	ReservationID                    string
	Tags                             []string // all of them
	ChangedSince, ChangedBefore      time.Time
	SortKey                          string // a key of ServerSortKeys; "": created_at
	Ascending                        bool
	Marker                           string // the list begins after this server
	Limit                            int    // 0: none
	None                             bool   // pick nothing
}

func (f ServerFilter) matches(s Server) bool {
	return (f.UserID == "" || f.UserID == s.UserID) &&
		(f.Name == nil || f.Name.MatchString(s.Name)) &&
		(f.IP == nil || f.IP.MatchString(FixedAddress.String()) || f.IP.MatchString(s.Network.Address.String())) &&
		(f.Statuses == nil || slices.Contains(f.Statuses, s.Status())) &&
		(f.ImageID == "" || f.ImageID == s.Boot.ImageID) &&
		(f.FlavorID == "" || f.FlavorID == s.Flavor.ID) &&
		(f.Host == "" || f.Host == s.Host) &&
		(f.KeyName == "" || s.Key != nil && f.KeyName == s.Key.Name) &&
		(f.Locked == nil || *f.Locked == s.Locked) &&
		(f.ReservationID == "" || f.ReservationID == s.ReservationID) &&
		!slices.ContainsFunc(f.Tags, func(tag string) bool { return !slices.Contains(s.Tags, tag) }) &&
		!s.UpdatedAt.Before(f.ChangedSince) &&
		(f.ChangedBefore.IsZero() || !s.UpdatedAt.After(f.ChangedBefore))
}

// Servers lists servers, and whether there are more than the limit. An
// unknown marker is fault.BadRequest.
func (s *Service) Servers(ctx context.Context, f ServerFilter) (list []Server, more bool, err error) {
	if f.None {
		return nil, false, nil
	}
	return s.store.servers(ctx, f)
}

// Server finds a server that the caller can see, or reports fault.NotFound.
func (s *Service) Server(ctx context.Context, c Caller, id string) (Server, error) {
	server, err := s.store.server(ctx, id)
	if err == nil {
		err = mayUse(c, server)
	}
	return server, err
}

func mayUse(c Caller, server Server) error {
	if !c.Admin && c.ProjectID != server.ProjectID {
		return serverNotFound(server.ID)
	}
	return nil
}

func serverNotFound(id string) error {
	return fault.New(fault.NotFound, "Instance %s could not be found.", id)
}

// ChangeServer applies change to what the owner says of a server: names,
// description, metadata, tags, access addresses.
func (s *Service) ChangeServer(ctx context.Context, c Caller, id string, change func(*Server) error) (Server, error) {
	return s.store.changeServer(ctx, id, func(server *Server) error {
		if err := mayUse(c, *server); err != nil {
			return err
		}
		return change(server)
	})
}

// SetMetadata applies change to a server's metadata, whose number the quota
// limits.
func (s *Service) SetMetadata(ctx context.Context, c Caller, id string, change func(map[string]string) error) (Server, error) {
	limits, err := s.Quota(ctx, c.ProjectID)
	if err != nil {
		return Server{}, err
	}
	return s.ChangeServer(ctx, c, id, func(server *Server) error {
		if err := server.allows("update metadata", c, []VMState{Active, Stopped, Building, Errored}, Spawning, Scheduling); err != nil {
			return err
		}
		if server.Metadata == nil {
			server.Metadata = map[string]string{}
		}
		before := len(server.Metadata)
		if err := change(server.Metadata); err != nil {
			return err
		}
		if n := len(server.Metadata); n > before && limits.MetadataItems >= 0 && n > limits.MetadataItems {
			return fault.New(fault.OverQuota, "Maximum number of metadata items exceeds %d", limits.MetadataItems)
		}
		return nil
	})
}
