package compute

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

const attachmentColumns = `id, server_id, volume_id, device, tag, delete_on_termination, state, disk, created_at`

func scanAttachment(r db.Row) (a Attachment, err error) {
	var created int64
	err = r.Scan(&a.ID, &a.ServerID, &a.VolumeID, &a.Device, &a.Tag, &a.DeleteOnTermination, &a.State,
		jsonColumn[Disk]{&a.Disk}, &created)
	a.CreatedAt = fromMicros(created)
	return a, err
}

func (s *store) attachments(ctx context.Context, server string) ([]Attachment, error) {
	return selectAttachments(ctx, s.db, server)
}

func selectAttachments(ctx context.Context, q db.Querier, server string) ([]Attachment, error) {
	list, err := db.Collect(ctx, q, scanAttachment, `SELECT `+attachmentColumns+` FROM attachments WHERE server_id = $1 ORDER BY created_at, id`, server)
	if err != nil {
		return nil, fmt.Errorf("select attachments: %w", err)
	}
	return list, nil
}

// attachmentsOf reads all attachments if there is more than one server: a list
// of servers costs one query more, not one for each.
func (s *store) attachmentsOf(ctx context.Context, servers []Server) (map[string][]Attachment, error) {
	if len(servers) == 1 {
		list, err := s.attachments(ctx, servers[0].ID)
		return map[string][]Attachment{servers[0].ID: list}, err
	}
	list, err := db.Collect(ctx, s.db, scanAttachment, `SELECT `+attachmentColumns+` FROM attachments ORDER BY created_at, id`)
	if err != nil {
		return nil, fmt.Errorf("select attachments: %w", err)
	}
	by := map[string][]Attachment{}
	for _, a := range list {
		by[a.ServerID] = append(by[a.ServerID], a)
	}
	return by, nil
}

// insertAttachment records an attachment, with the next free device if it has
// none, and if check has no objection to the server.
func (s *store) insertAttachment(ctx context.Context, a Attachment, action Action, check func(*Server) error) (Attachment, error) {
	action.ServerID = a.ServerID
	err := db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		server, err := selectServer(ctx, tx, a.ServerID)
		if err != nil {
			return err
		}
		if err := check(&server); err != nil {
			return err
		}
		others, err := selectAttachments(ctx, tx, a.ServerID)
		if err != nil {
			return err
		}
		if a.Device, err = chooseDevice(others, a); err != nil {
			return err
		}
		disk, err := toJSON(a.Disk)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO attachments (`+attachmentColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			a.ID, a.ServerID, a.VolumeID, a.Device, a.Tag, a.DeleteOnTermination, string(a.State), disk, micros(a.CreatedAt))
		if err != nil {
			return fmt.Errorf("insert attachment: %w", err)
		}
		return insertAction(ctx, tx, action)
	})
	return a, err
}

// chooseDevice picks a name for a new attachment beside others.
func chooseDevice(others []Attachment, a Attachment) (string, error) {
	has := func(device string) bool {
		return slices.ContainsFunc(others, func(o Attachment) bool { return o.Device == device })
	}
	if slices.ContainsFunc(others, func(o Attachment) bool { return o.VolumeID == a.VolumeID }) {
		return "", fault.New(fault.BadRequest, "Invalid volume: volume %s already attached", a.VolumeID)
	}
	if a.Device != "" {
		if has(a.Device) || a.Device == "/dev/vda" {
			return "", fault.New(fault.Conflict, "The supplied device path (%s) is in use.", a.Device)
		}
		return a.Device, nil
	}
	for letter := 'b'; letter <= 'z'; letter++ {
		if device := "/dev/vd" + string(letter); !has(device) {
			return device, nil
		}
	}
	return "", fault.New(fault.Forbidden, "The number of volumes attached to instance %s is at its limit.", a.ServerID)
}

// attachment finds the attachment of a volume to a server, in a given state.
func (s *store) attachment(ctx context.Context, server, volume string, state AttachmentState) (Attachment, error) {
	list, err := s.attachments(ctx, server)
	if err != nil {
		return Attachment{}, err
	}
	i := slices.IndexFunc(list, func(a Attachment) bool { return a.VolumeID == volume })
	if i < 0 {
		return Attachment{}, attachmentNotFound(server, volume)
	}
	if list[i].State != state {
		return Attachment{}, fault.New(fault.BadRequest, "Invalid volume: volume %s is %s, not %s", volume, list[i].State, state)
	}
	return list[i], nil
}

func attachmentNotFound(server, volume string) error {
	return fault.New(fault.NotFound, "Instance %s is not attached to volume %s", server, volume)
}

// setReserved makes an attachment ready to be plugged in, unless the server
// was deleted meanwhile.
func (s *store) setReserved(ctx context.Context, a Attachment) error {
	disk, err := toJSON(a.Disk)
	if err != nil {
		return err
	}
	result, err := s.db.ExecContext(ctx, `UPDATE attachments SET disk = $1, state = $2 WHERE id = $3`, disk, string(Attaching), a.ID)
	return mustChange(result, err, serverNotFound(a.ServerID))
}

func (s *store) setAttachmentState(ctx context.Context, id string, state AttachmentState) error {
	_, err := s.db.ExecContext(ctx, `UPDATE attachments SET state = $1 WHERE id = $2`, string(state), id)
	return err
}

func (s *store) beginDetaching(ctx context.Context, server, volume string, action Action) error {
	action.ServerID = server
	return db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE attachments SET state = $1 WHERE server_id = $2 AND volume_id = $3 AND state = $4`,
			string(Detaching), server, volume, string(Attached))
		if err := mustChange(result, err, attachmentNotFound(server, volume)); err != nil {
			return err
		}
		return insertAction(ctx, tx, action)
	})
}

func (s *store) deleteAttachment(ctx context.Context, id string) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM attachments WHERE id = $1`, id)
	return err
}
