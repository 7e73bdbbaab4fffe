package identity

import (
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// notFound turns the absence of a row into Keystone's fault.
func notFound(err error, what, id string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "Could not find %s: %s.", what, id)
	}
	return fmt.Errorf("select %s %s: %w", what, id, err)
}

// duplicate turns a violated unique constraint into Keystone's fault.
func duplicate(err error, what, name, domain string) error {
	switch {
	case err == nil:
		return nil
	case !db.IsUnique(err):
		return fmt.Errorf("store %s %s: %w", what, name, err)
	case domain == "":
		return fault.New(fault.Conflict,
			"Conflict occurred attempting to store %s - Duplicate entry found with name %s.", what, name)
	default:
		return fault.New(fault.Conflict,
			"Conflict occurred attempting to store %s - Duplicate entry found with name %s at domain ID %s.", what, name, domain)
	}
}

// exactlyOne is for statements that address one row: none is fault.NotFound.
func exactlyOne(result sql.Result, err error, what, id string) error {
	changed, err := db.Changed(result, err)
	if err != nil {
		return fmt.Errorf("change %s %s: %w", what, id, err)
	}
	if !changed {
		return notFound(sql.ErrNoRows, what, id)
	}
	return nil
}

// toJSON encodes what is known to be encodable: strings, and what came out of
// JSON.
func toJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return string(text)
}

// jsonColumn scans a column of JSON text into what it points to.
type jsonColumn struct{ into any }

func (c jsonColumn) Scan(value any) error {
	switch text := value.(type) {
	case string:
		return json.Unmarshal([]byte(text), c.into)
	case []byte:
		return json.Unmarshal(text, c.into)
	default:
		return fmt.Errorf("JSON column holds %T", value)
	}
}

// nullable stores an empty string as NULL.
func nullable(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }
