package image

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Filter chooses among the images that a caller may see. The zero Filter
// leaves none out but hidden ones and other projects' community images.
type Filter struct {
	Visibility   string // one of the visibilities, or "all"; empty: all but community
	MemberStatus string // of shared images: which answer of the caller lists them, or "all"; empty: accepted
	Hidden       bool   // hidden images only, instead of the others only
	Protected    *bool
	Tags         []string          // all of them
	Is           map[string]string // attributes by name, with Glance's operators; other names are properties

	Sort   []Sort
	Marker string // the id of the image after which the list begins
	Limit  int
}

// Sort is a key to sort a list by.
type Sort struct {
	Key        string
	Descending bool
}

// maxConditions bounds a query to what every database can parse.
const maxConditions = 500

// sortKeys are the columns that lists can be sorted by.
var sortKeys = []string{
	"container_format", "created_at", "disk_format", "id", "min_disk", "min_ram", "name", "owner", "size", "status", "updated_at", "visibility",
}

// List returns the images that the filter chooses, the newest first if it
// does not say otherwise. A filter that makes no sense is fault.BadRequest.
func (s *Service) List(ctx context.Context, caller Caller, f Filter) ([]Image, error) {
	q := &selection{}
	if err := q.see(caller, f); err != nil {
		return nil, err
	}
	q.And("os_hidden = ?", f.Hidden)
	if f.Protected != nil {
		q.And("protected = ?", *f.Protected)
	}
	for _, tag := range f.Tags {
		q.And("EXISTS (SELECT 1 FROM image_tags t WHERE t.image_id = images.id AND t.tag = ?)", tag)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Is)) {
		if err := q.match(name, f.Is[name]); err != nil {
			return nil, err
		}
	}
	if len(q.Args()) > maxConditions {
		return nil, fault.New(fault.BadRequest, "Too many filters: at most %d values are allowed.", maxConditions)
	}
	order, err := sorting(f.Sort)
	if err != nil {
		return nil, err
	}
	if f.Marker != "" {
		marker, err := s.Get(ctx, caller, f.Marker)
		if err != nil {
			return nil, markerFault(err, f.Marker)
		}
		q.After(order, func(column string) any { return sortValue(marker, column) })
	}
	return s.store.list(ctx, q, order, f.Limit)
}

func markerFault(err error, marker string) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.BadRequest, "No image found with ID %s", marker)
	}
	return err
}

// selection is a query for images that grows.
type selection struct{ db.Selection }

// see limits the list to what the caller may see, and wants to.
func (q *selection) see(caller Caller, f Filter) error {
	status := f.MemberStatus
	switch status {
	case "":
		status = Accepted
	case Pending, Accepted, Rejected, "all":
	default:
		return fault.New(fault.BadRequest, "Invalid status: %s", status)
	}
	member := "EXISTS (SELECT 1 FROM image_members m WHERE m.image_id = images.id AND m.member = ? AND (m.status = ? OR ? = 'all'))"
	mine := "owner = ? OR visibility = 'public' OR visibility = 'shared' AND " + member
	args := []any{caller.Project, caller.Project, status, status}
	switch f.Visibility {
	case "":
		if caller.Admin {
			q.And("(visibility <> 'community' OR owner = ?)", caller.Project)
			return nil
		}
	case "all":
		mine += " OR visibility = 'community'"
	case Public, Private, Shared, Community:
		q.And("visibility = ?", f.Visibility)
		mine += " OR visibility = 'community'"
	default:
		return fault.New(fault.BadRequest, "Invalid visibility value: %s", f.Visibility)
	}
	if !caller.Admin {
		q.And("("+mine+")", args...)
	}
	return nil
}

// Columns that can be filtered by, by how their values read.
var (
	textFilters  = []string{"id", "name", "owner", "status", "disk_format", "container_format", "checksum", "os_hash_value"}
	countFilters = map[string]string{
		"size": "size = ?", "size_min": "size >= ?", "size_max": "size BETWEEN 0 AND ?",
		"min_disk": "min_disk = ?", "min_ram": "min_ram = ?",
	}
	timeFilters = []string{"created_at", "updated_at"}
	comparisons = map[string]string{"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "=", "neq": "<>"}
)

// match adds the condition for one filter.
func (q *selection) match(name, value string) error {
	condition, counts := countFilters[name]
	switch {
	case counts:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 {
			return fault.New(fault.BadRequest, "Invalid value %q for filter %s: it must be a number.", value, name)
		}
		q.And(condition, n)
	case slices.Contains(textFilters, name):
		q.text(name, value)
	case slices.Contains(timeFilters, name):
		return q.time(name, value)
	default:
		q.And("EXISTS (SELECT 1 FROM image_properties p WHERE p.image_id = images.id AND p.name = ? AND p.value = ?)", name, value)
	}
	return nil
}

// text matches a column with a value or, after "in:", one of several. A
// value with a comma stands in double quotes.
func (q *selection) text(column, value string) {
	list, several := strings.CutPrefix(value, "in:")
	if !several {
		q.And(column+" = ?", value)
		return
	}
	values := []any{}
	for list != "" {
		var one string
		if quoted, ok := strings.CutPrefix(list, `"`); ok {
			one, list, _ = strings.Cut(quoted, `"`)
			list = strings.TrimPrefix(list, ",")
		} else {
			one, list, _ = strings.Cut(list, ",")
		}
		values = append(values, one)
	}
	if len(values) == 0 {
		q.And("1 = 0")
		return
	}
	q.And(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", values...)
}

// time compares a column with a time: OPERATOR:TIME, or TIME.
func (q *selection) time(column, value string) error {
	operator, text, found := strings.Cut(value, ":")
	sign := comparisons[operator]
	if sign == "" {
		if found && !strings.ContainsAny(operator, "0123456789") {
			return fault.New(fault.BadRequest, "Unable to filter by unknown operator '%s'.", operator)
		}
		sign, text = "=", value
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		at, err := time.Parse(layout, text)
		if err == nil {
			q.And(column+" / 1000000 "+sign+" ?", at.Unix())
			return nil
		}
	}
	return fault.New(fault.BadRequest, "Invalid time format for %s: %s.", column, text)
}

// sorting turns keys into columns, completed to a total order.
func sorting(keys []Sort) ([]db.Order, error) {
	order := make([]db.Order, len(keys))
	for i, key := range keys {
		if !slices.Contains(sortKeys, key.Key) {
			return nil, fault.New(fault.BadRequest, "Invalid sort key: %s. It must be one of the following: %s.",
				key.Key, strings.Join(sortKeys, ", "))
		}
		order[i] = db.Order{Column: key.Key, Descending: key.Descending}
	}
	return db.Total(order, "created_at", "id"), nil
}

// sortValue is an image's value of a sort key, as the database has it.
func sortValue(img Image, key string) any {
	switch key {
	case "name":
		return img.Name
	case "status":
		return img.Status
	case "container_format":
		return img.ContainerFormat
	case "disk_format":
		return img.DiskFormat
	case "size":
		if img.Data == nil {
			return int64(-1)
		}
		return img.Data.Size
	case "created_at":
		return img.CreatedAt.UnixMicro()
	case "updated_at":
		return img.UpdatedAt.UnixMicro()
	case "min_disk":
		return img.MinDiskGB
	case "min_ram":
		return img.MinRAMMB
	case "owner":
		return img.Owner
	case "visibility":
		return img.Visibility
	default:
		return img.ID
	}
}
