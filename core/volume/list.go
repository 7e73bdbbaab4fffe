package volume

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Filter chooses among the volumes or snapshots of a project.
type Filter struct {
	Project  string            // empty: all projects'
	Is       map[string]string // attributes by name, see volumeFilters and snapshotFilters
	Metadata map[string]string // all of it

	Sort   []Sort
	Marker string // the id of the last one of the page before
	Offset int
	Limit  int
}

// Sort is a key to sort a list by.
type Sort struct {
	Key        string
	Descending bool
}

// What lists can be filtered and sorted by, with the columns.
var (
	volumeFilters = map[string]string{
		"name": "name", "status": "status", "bootable": "bootable", "source_volid": "source_id", "snapshot_id": "snapshot_id",
		"id": "id", "size": "size_gb", "user_id": "user_id",
	}
	snapshotFilters = map[string]string{
		"name": "name", "status": "status", "volume_id": "volume_id", "id": "id", "size": "size_gb", "volume_size": "size_gb",
	}
	sortKeys = map[string]string{
		"id": "id", "size": "size_gb", "created_at": "created_at", "updated_at": "updated_at", "status": "status",
		"name": "name", "display_name": "name",
	}
)

// List returns the volumes that the filter chooses, and how many there are
// without regard to the page. The newest come first if it does not say
// otherwise.
func (s *Service) List(ctx context.Context, f Filter) (page []Volume, total int, err error) {
	q := &selection{}
	if err := q.match(f, volumeFilters); err != nil {
		return nil, 0, err
	}
	for name, value := range f.Metadata {
		q.And("EXISTS (SELECT 1 FROM volume_metadata m WHERE m.volume_id = volumes.id AND m.kind = 'volume' AND m.name = ? AND m.value = ?)", name, value)
	}
	if total, err = s.store.count(ctx, "volumes", q); err != nil {
		return nil, 0, err
	}
	tail, err := q.page(f, func(id string) (map[string]any, error) {
		v, err := s.Get(ctx, Caller{Project: f.Project, Admin: f.Project == ""}, id)
		return map[string]any{
			"id": v.ID, "size_gb": v.SizeGB, "created_at": micro(v.CreatedAt), "updated_at": micro(v.UpdatedAt), "status": v.Status, "name": v.Name,
		}, err
	})
	if err != nil {
		return nil, 0, err
	}
	page, err = query(ctx, s.store.db, `SELECT `+columns+` FROM volumes`+tail, q.Args()...)
	return page, total, err
}

// Snapshots is List for snapshots.
func (s *Service) Snapshots(ctx context.Context, f Filter) (page []Snapshot, total int, err error) {
	q := &selection{}
	if err := q.match(f, snapshotFilters); err != nil {
		return nil, 0, err
	}
	for name, value := range f.Metadata {
		q.And("EXISTS (SELECT 1 FROM snapshot_metadata m WHERE m.snapshot_id = snapshots.id AND m.name = ? AND m.value = ?)", name, value)
	}
	if total, err = s.store.count(ctx, "snapshots", q); err != nil {
		return nil, 0, err
	}
	tail, err := q.page(f, func(id string) (map[string]any, error) {
		one, err := s.Snapshot(ctx, Caller{Project: f.Project, Admin: f.Project == ""}, id)
		return map[string]any{
			"id": one.ID, "size_gb": one.SizeGB, "created_at": micro(one.CreatedAt), "updated_at": micro(one.UpdatedAt),
			"status": one.Status, "name": one.Name,
		}, err
	})
	if err != nil {
		return nil, 0, err
	}
	page, err = querySnapshots(ctx, s.store.db, `SELECT `+snapshotColumns+` FROM snapshots`+tail, q.Args()...)
	return page, total, err
}

// count counts what a selection leaves of a table.
func (s store) count(ctx context.Context, table string, q *selection) (n int, err error) {
	if err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM `+table+q.Where(), q.Args()...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count %s: %w", table, err)
	}
	return n, nil
}

// selection is a query for volumes or snapshots that grows.
type selection struct{ db.Selection }

// match limits the selection to what the filter says, but for the page.
func (q *selection) match(f Filter, known map[string]string) error {
	if f.Project != "" {
		q.And("project_id = ?", f.Project)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Is)) {
		column, value := known[name], f.Is[name]
		switch {
		case column == "": // Cinder ignores filters it does not know
		case name == "bootable":
			is, err := strconv.ParseBool(strings.ToLower(value))
			if err != nil {
				return fault.New(fault.BadRequest, "Invalid input received: bootable={'%s'}", value)
			}
			q.And(column+" = ?", is)
		case strings.HasSuffix(name, "size"):
			n, err := strconv.Atoi(value)
			if err != nil {
				return fault.New(fault.BadRequest, "Invalid input received: %s={'%s'}", name, value)
			}
			q.And(column+" = ?", n)
		default:
			q.And(column+" = ?", value)
		}
	}
	return nil
}

// page completes the query to one page: the conditions, the order, the limit.
// find gives the marker's columns by its id.
func (q *selection) page(f Filter, find func(id string) (map[string]any, error)) (string, error) {
	order, err := sorting(f.Sort)
	if err != nil {
		return "", err
	}
	if f.Marker != "" {
		marker, err := find(f.Marker)
		if err != nil {
			return "", err
		}
		q.After(order, func(column string) any { return marker[column] })
	}
	return q.Page(order, f.Limit, f.Offset), nil
}

// sorting turns keys into columns, completed to a total order.
func sorting(keys []Sort) ([]db.Order, error) {
	order := make([]db.Order, len(keys))
	for i, key := range keys {
		column := sortKeys[key.Key]
		if column == "" {
			return nil, fault.New(fault.BadRequest, "Invalid input received: Invalid sort key: %s", key.Key)
		}
		order[i] = db.Order{Column: column, Descending: key.Descending}
	}
	return db.Total(order, "created_at", "id"), nil
}
