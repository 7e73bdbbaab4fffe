package compute

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

func scanServer(r db.Row) (server Server, err error) {
	err = r.Scan(jsonColumn[Server]{&server})
	return server, err
}

// columns are the server's values for putServer, in its order.
func (s Server) columns() ([]any, error) {
	text, err := toJSON(s)
	if err != nil {
		return nil, err
	}
	address := sql.NullString{String: s.Network.Address.String(), Valid: s.Network.Address.IsValid()}
	return []any{
		s.ID, s.ProjectID, s.UserID, s.Name, string(s.VMState), string(s.TaskState), s.Host,
		s.Flavor.VCPUs, s.Flavor.MemoryMB, address, micros(s.CreatedAt), micros(s.UpdatedAt), text,
	}, nil
}

// putServer inserts a server or replaces it.
func putServer(ctx context.Context, q db.Querier, server Server) error {
	columns, err := server.columns()
	if err != nil {
		return err
	}
	const put = `INSERT INTO servers (id, project_id, user_id, name, vm_state, task_state, host,
			vcpus, memory_mb, address, created_at, updated_at, server)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, vm_state = excluded.vm_state, task_state = excluded.task_state,
			host = excluded.host, address = excluded.address, updated_at = excluded.updated_at, server = excluded.server`
	if _, err := q.ExecContext(ctx, put, columns...); err != nil {
		return fmt.Errorf("put server %s: %w", server.ID, err)
	}
	return nil
}

// insertServers records as many of the servers as the quota allows, at least
// minimum, and returns them.
func (s *store) insertServers(ctx context.Context, servers []Server, minimum int, limits Quotas, action Action) ([]Server, error) {
	err := db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		used, err := usage(ctx, tx, `WHERE project_id = $1`, servers[0].ProjectID)
		if err != nil {
			return err
		}
		flavor := servers[0].Flavor
		for limits.allow(used, flavor, len(servers)) != nil && len(servers) > minimum {
			servers = servers[:len(servers)-1]
		}
		if err := limits.allow(used, flavor, len(servers)); err != nil {
			return err
		}
		for _, server := range servers {
			if err := putServer(ctx, tx, server); err != nil {
				return err
			}
			action.ServerID = server.ID
			if err := insertAction(ctx, tx, action); err != nil {
				return err
			}
		}
		return nil
	})
	return servers, err
}

func (s *store) server(ctx context.Context, id string) (Server, error) {
	return selectServer(ctx, s.db, id)
}

func selectServer(ctx context.Context, q db.Querier, id string) (Server, error) {
	server, err := scanServer(q.QueryRowContext(ctx, `SELECT server FROM servers WHERE id = $1`, id))
	if err = ifNone(err, serverNotFound(id)); err != nil {
		return server, fmt.Errorf("select server: %w", err)
	}
	return server, nil
}

// changeServer changes a server as a whole, and notes the time.
func (s *store) changeServer(ctx context.Context, id string, change func(*Server) error) (server Server, err error) {
	err = db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		server, err = changeServer(ctx, tx, id, change)
		return err
	})
	return server, err
}

// changeServerBy is changeServer by an action, which is recorded with it.
func (s *store) changeServerBy(ctx context.Context, id string, action Action, change func(*Server) error) error {
	action.ServerID = id
	return db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		if _, err := changeServer(ctx, tx, id, change); err != nil {
			return err
		}
		return insertAction(ctx, tx, action)
	})
}

func changeServer(ctx context.Context, tx *sql.Tx, id string, change func(*Server) error) (Server, error) {
	server, err := selectServer(ctx, tx, id)
	if err != nil {
		return server, err
	}
	if err := change(&server); err != nil {
		return server, err
	}
	server.UpdatedAt = time.Now().UTC()
	return server, putServer(ctx, tx, server)
}

func (s *store) deleteServer(ctx context.Context, id string) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM servers WHERE id = $1`, id); err != nil {
		return fmt.Errorf("delete server %s: %w", id, err)
	}
	return nil
}

// claim gives a server a host, if allow has no objection to what the servers
// have claimed that have one, and the task of being spawned.
func (s *store) claim(ctx context.Context, server Server, host string, allow func(used Usage) error) (Server, error) {
	was := server.TaskState
	err := db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		used, err := usage(ctx, tx, `WHERE host <> '' AND id <> $1`, server.ID)
		if err != nil {
			return err
		}
		if err := allow(used); err != nil {
			return err
		}
		now, err := changeServer(ctx, tx, server.ID, func(now *Server) error {
			if now.TaskState != was {
				return errTaskChanged
			}
			now.Host, now.TaskState = host, Spawning
			return nil
		})
		if err == nil {
			server = now
		}
		return err
	})
	return server, err
}

// assignAddress gives a server another address, chosen by choose from those
// that no server has.
func (s *store) assignAddress(ctx context.Context, server Server, choose func(used map[netip.Addr]bool) (netip.Addr, error)) (Server, error) {
	err := db.InTx(ctx, s.db, func(tx *sql.Tx) error {
		addresses, err := db.Collect(ctx, tx, scanText, `SELECT address FROM servers WHERE address IS NOT NULL`)
		if err != nil {
			return fmt.Errorf("select addresses: %w", err)
		}
		used := make(map[netip.Addr]bool, len(addresses))
		for _, text := range addresses {
			address, err := netip.ParseAddr(text)
			if err != nil {
				return err
			}
			used[address] = true
		}
		address, err := choose(used)
		if err != nil {
			return err
		}
		server, err = changeServer(ctx, tx, server.ID, func(now *Server) error {
			if now.TaskState != Spawning {
				return errTaskChanged
			}
			now.Network.Address = address
			return nil
		})
		return err
	})
	return server, err
}

// imagesUsed are the images that servers boot from.
func (s *store) imagesUsed(ctx context.Context) (map[string]bool, error) {
	servers, _, err := s.servers(ctx, ServerFilter{})
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, server := range servers {
		used[server.Boot.ImageID], used[server.Boot.Kernel], used[server.Boot.Ramdisk] = true, true, true
	}
	return used, nil
}

// serverOrder are the columns that lists may be sorted by.
var serverOrder = map[string]string{
	"": "created_at", "created_at": "created_at", "updated_at": "updated_at", "display_name": "name", "name": "name",
	"uuid": "id", "vm_state": "vm_state", "task_state": "task_state", "host": "host", "project_id": "project_id",
	"user_id": "user_id",
}

// servers reads the servers that a filter picks, up to its limit, and whether
// there are more.
func (s *store) servers(ctx context.Context, f ServerFilter) (list []Server, more bool, err error) {
	query, args, err := listQuery(f)
	if err != nil {
		return nil, false, err
	}
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, false, fmt.Errorf("select servers: %w", err)
	}
	defer func() { _ = rows.Close() }()
	begun := f.Marker == ""
	for rows.Next() {
		server, err := scanServer(rows)
		if err != nil {
			return nil, false, fmt.Errorf("read server: %w", err)
		}
		switch {
		case !begun:
			begun = server.ID == f.Marker
		case !f.matches(server):
		case f.Limit > 0 && len(list) == f.Limit:
			return list, true, nil
		default:
			list = append(list, server)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("read servers: %w", err)
	}
	if !begun {
		return nil, false, fault.New(fault.BadRequest, "marker [%s] not found", f.Marker)
	}
	return list, false, nil
}

func listQuery(f ServerFilter) (query string, args []any, err error) {
	column, ok := serverOrder[f.SortKey]
	if !ok {
		return "", nil, fault.New(fault.BadRequest, "Sort key supplied is invalid: %s", f.SortKey)
	}
	direction := " DESC"
	if f.Ascending {
		direction = " ASC"
	}
	var text strings.Builder
	text.WriteString(`SELECT server FROM servers`)
	if f.ProjectID != "" {
		text.WriteString(` WHERE project_id = $1`)
		args = append(args, f.ProjectID)
	}
	text.WriteString(` ORDER BY ` + column + direction + `, id` + direction)
	return text.String(), args, nil
}
