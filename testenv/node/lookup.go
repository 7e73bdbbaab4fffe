package node

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"golang.org/x/sync/errgroup"
)

// remember is how long the ids of a label's image and flavor are believed: a
// burst of launches asks once, and who makes a new image soon gets it.
const remember = 5 * time.Second

// ids are what a label is made of.
type ids struct {
	image, flavor string
	at            time.Time
}

// lookUp returns the ids for a label and whether they were known already.
func (s *session) lookUp(ctx context.Context, label Label) (found ids, known bool, err error) {
	s.mu.Lock()
	found, known = s.found[label]
	s.mu.Unlock()
	if known && time.Since(found.at) < remember {
		return found, true, nil
	}
	found.at = time.Now()
	asks, ctx := errgroup.WithContext(ctx)
	asks.Go(func() (err error) { found.image, err = s.imageID(ctx, label.Image); return err })
	asks.Go(func() (err error) { found.flavor, err = s.flavorID(ctx, label.Flavor); return err })
	if err := asks.Wait(); err != nil {
		return found, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found[label] = found
	return found, false, nil
}

// forget makes the next launch look a label up.
func (s *session) forget(label Label) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.found, label)
}

func (s *session) imageID(ctx context.Context, name string) (string, error) {
	pages, err := images.List(s.image, images.ListOpts{Name: name, Sort: "created_at:desc", Status: images.ImageStatusActive}).AllPages(ctx)
	if err != nil {
		return "", fmt.Errorf("look up image %s: %w", name, err)
	}
	found, err := images.ExtractImages(pages)
	if err != nil {
		return "", fmt.Errorf("look up image %s: %w", name, err)
	}
	if len(found) > 0 {
		return found[0].ID, nil
	}
	image, err := images.Get(ctx, s.image, name).Extract()
	if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) && !gophercloud.ResponseCodeIs(err, http.StatusBadRequest) {
		return "", fmt.Errorf("look up image %s: %w", name, err)
	}
	if err != nil || image.Status != images.ImageStatusActive {
		return "", &MissingError{fmt.Sprintf("active image %q: make it with `gatehouse image build`", name)}
	}
	return image.ID, nil
}

func (s *session) flavorID(ctx context.Context, name string) (string, error) {
	pages, err := flavors.ListDetail(s.compute, flavors.ListOpts{}).AllPages(ctx)
	if err != nil {
		return "", fmt.Errorf("look up flavor %s: %w", name, err)
	}
	found, err := flavors.ExtractFlavors(pages)
	if err != nil {
		return "", fmt.Errorf("look up flavor %s: %w", name, err)
	}
	for _, f := range found {
		if f.Name == name || f.ID == name {
			return f.ID, nil
		}
	}
	return "", &MissingError{fmt.Sprintf("flavor %q", name)}
}
