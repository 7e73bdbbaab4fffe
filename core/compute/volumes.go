package compute

import "context"

// Volumes is what compute needs of the volume service. An attachment is known
// by its volume and its server. Its methods may be repeated: what is done
// already is done again, without effect.
type Volumes interface {
	// Reserve promises a volume to a server, on which it will be device (e.g.
	// "/dev/vdb"), and makes its status attaching. It reports fault.NotFound
	// if the project cannot see the volume (with an empty project, every
	// volume can be seen) and fault.BadRequest if it is not available.
	Reserve(ctx context.Context, project, volume, server, device string) (Disk, error)

	// Attached makes the status of a reserved or detaching volume in-use.
	Attached(ctx context.Context, volume, server string) error

	// BeginDetaching makes the status of a volume in use detaching.
	BeginDetaching(ctx context.Context, volume, server string) error

	// Detached ends an attachment, whatever its status, and makes the volume
	// available. One that does not exist is no error.
	Detached(ctx context.Context, volume, server string) error
}
