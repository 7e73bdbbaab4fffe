package db_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/db"
)

func TestPagesFollowEachOtherInEveryOrder(t *testing.T) {
	handle := open(t, "")
	_, err := handle.ExecContext(t.Context(), "INSERT INTO things VALUES ('a', 1), ('b', 2), ('c', 1), ('d', 2), ('e', 3), ('other', 1)")
	require.NoError(t, err)
	type thing struct {
		id string
		n  int
	}
	scan := func(row db.Row) (one thing, err error) {
		err = row.Scan(&one.id, &one.n)
		return one, err
	}
	for want, order := range map[string][]db.Order{
		"edcba": db.Total(nil, "id"),
		"acbde": db.Total([]db.Order{{Column: "n"}}, "id"),
		"edbca": db.Total([]db.Order{{Column: "n", Descending: true}}, "n", "id"),
		"ebdac": {{Column: "n", Descending: true}, {Column: "id"}},
	} {
		got, marker := "", (*thing)(nil)
		for {
			var s db.Selection
			s.And("(id <> ? AND n < ?)", "other", 9)
			if marker != nil {
				s.After(order, func(column string) any { return map[string]any{"id": marker.id, "n": marker.n}[column] })
			}
			page, err := db.Collect(t.Context(), handle, scan, "SELECT id, n FROM things"+s.Page(order, 2, 0), s.Args()...)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, one := range page {
				got += one.id
			}
			marker = &page[len(page)-1]
		}
		assert.Equal(t, want, got)
	}
}

func TestASelectionWithoutConditionsIsOfEverything(t *testing.T) {
	var s db.Selection
	assert.Empty(t, s.Where())
	assert.Equal(t, " ORDER BY id LIMIT $1 OFFSET $2", s.Page([]db.Order{{Column: "id"}}, 5, 7))
	assert.Equal(t, []any{5, 7}, s.Args())
}
