package image

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// Change is one step of an update.
type Change struct {
	Op    Op
	Name  string          // of an attribute or property
	Value json.RawMessage // unused by Remove
	// Fresh makes Add refuse to overwrite, as the JSON patches of Image API
	// v2.0 have it.
	Fresh bool
}

// Op is what a change does.
type Op string

// The operations of a JSON patch that images know.
const (
	Add     Op = "add"     // or overwrite
	Replace Op = "replace" // what is there
	Remove  Op = "remove"  // a property
)

// Update makes changes in their order, all or none, and returns the image as
// it is then.
func (s *Service) Update(ctx context.Context, caller Caller, id string, changes []Change) (Image, error) {
	return s.modify(ctx, caller, id, "modify_image", func(img *Image) error {
		before := *img
		for _, change := range changes {
			if err := img.apply(change); err != nil {
				return err
			}
		}
		if img.Owner != before.Owner && !caller.Admin {
			return fault.New(fault.Forbidden, "Owner can't be updated by non admin.")
		}
		if img.Owner == "" {
			return fault.New(fault.BadRequest, "An image must have an owner.")
		}
		return mayPublish(caller, before.Visibility, img.Visibility)
	})
}

// modify changes an image of the caller's by f, in one transaction.
func (s *Service) modify(ctx context.Context, caller Caller, id, action string, f func(*Image) error) (Image, error) {
	if _, err := s.own(ctx, caller, id, action); err != nil {
		return Image{}, err
	}
	img, err := s.store.update(ctx, id, now(), f)
	if errors.Is(err, sql.ErrNoRows) {
		return Image{}, notFound(id)
	}
	return img, err
}

func (img *Image) apply(c Change) error {
	if c.Name == "id" {
		return fault.New(fault.Forbidden, "Attribute 'id' is read-only.")
	}
	if err := settable(c.Name); err != nil {
		return err
	}
	_, own := attributes[c.Name]
	_, exists := img.Properties[c.Name]
	switch {
	case c.Op == Remove && own:
		return fault.New(fault.Forbidden, "Property %s may not be removed.", c.Name)
	case c.Op != Add && !own && !exists:
		return fault.New(fault.Conflict, "Property %s does not exist.", c.Name)
	case c.Op == Add && c.Fresh && (own || exists):
		return fault.New(fault.Conflict, "Property %s already present.", c.Name)
	case c.Op == Remove:
		delete(img.Properties, c.Name)
		return nil
	default:
		return img.Set(c.Name, c.Value)
	}
}

// AddTag gives an image a tag; giving it twice does nothing.
func (s *Service) AddTag(ctx context.Context, caller Caller, id, tag string) error {
	if tag == "" || utf8.RuneCountInString(tag) > maxName {
		return fault.New(fault.BadRequest, "Provided object does not match schema 'image': '%s' is empty or too long for a tag", tag)
	}
	_, err := s.modify(ctx, caller, id, "modify_image", func(img *Image) error {
		if slices.Contains(img.Tags, tag) {
			return nil
		}
		img.Tags = append(img.Tags, tag)
		return checkTagCount(len(img.Tags))
	})
	return err
}

// RemoveTag takes a tag away. A tag that is not there is fault.NotFound.
func (s *Service) RemoveTag(ctx context.Context, caller Caller, id, tag string) error {
	_, err := s.modify(ctx, caller, id, "modify_image", func(img *Image) error {
		at := slices.Index(img.Tags, tag)
		if at < 0 {
			return fault.New(fault.NotFound, "Tag %s of image %s could not be found.", tag, id)
		}
		img.Tags = slices.Delete(img.Tags, at, at+1)
		return nil
	})
	return err
}
