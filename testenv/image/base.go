package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/gatehouse-dev/gatehouse/testenv/image/disk"
	"github.com/gatehouse-dev/gatehouse/testenv/image/oci"
)

// sourceKey names the base system that is asked for. Packages and references
// may bring other content another day; files of the host are named by theirs.
func (b *build) sourceKey() (string, error) {
	r := b.recipe
	asked := []any{r.Debian, r.OCI, r.Disk, r.Installer}
	if r.Debian != nil {
		asked = append(asked, r.Packages)
	}
	var files []string
	switch {
	case r.OCI != nil && r.OCI.Archive != "":
		files = append(files, r.OCI.Archive)
	case r.OCI != nil && r.OCI.Layout != "":
		files = append(files, filepath.Join(r.OCI.Layout, "index.json")) // names the rest by content
	case r.Disk != nil:
		files = r.Disk.unnamed()
	case r.Installer != nil:
		files = r.Installer.ISO.unnamed()
		for _, file := range r.Installer.Inject {
			files = append(files, file)
		}
	}
	for _, file := range unique(files) {
		sum, err := fingerprint(b.recipe.path(file))
		if err != nil {
			return "", err
		}
		asked = append(asked, sum)
	}
	text, err := json.Marshal(asked)
	return digest("base 1", string(text)), err
}

// unnamed returns the disk's file, unless the recipe says what is in it.
func (d Disk) unnamed() []string {
	if d.File == "" || d.SHA256 != "" {
		return nil
	}
	return []string{d.File}
}

// fetchBase writes the base system as a tar archive.
func (b *build) fetchBase(ctx context.Context, w io.Writer) (fetched, error) {
	switch r := b.recipe; {
	case r.Debian != nil:
		return b.fetchDebian(ctx, w)
	case r.OCI != nil:
		return b.fetchOCI(ctx, w)
	case r.Disk != nil:
		file, done, err := b.diskFile(ctx, *r.Disk)
		if err != nil {
			return fetched{}, err
		}
		defer done()
		return fetched{Origin: r.Disk.File + r.Disk.URL}, b.fetchDisk(ctx, file, w)
	default:
		return b.fetchInstalled(ctx, w)
	}
}

func (b *build) fetchOCI(ctx context.Context, w io.Writer) (fetched, error) {
	dir, err := os.MkdirTemp(b.config.TempDir, "gatehouse-oci-*")
	if err != nil {
		return fetched{}, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	o := b.recipe.OCI
	var image v1.Image
	switch {
	case o.Reference != "":
		image, err = oci.Pull(ctx, o.Reference)
	case o.Archive != "":
		image, err = oci.Archive(b.recipe.path(o.Archive), dir)
	default:
		image, err = oci.Layout(b.recipe.path(o.Layout))
	}
	origin := o.Reference + o.Archive + o.Layout
	if err != nil {
		return fetched{}, fmt.Errorf("container image %s: %w", origin, err)
	}
	digest, err := oci.Digest(image)
	if err != nil {
		return fetched{}, fmt.Errorf("container image %s: %w", origin, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return fetched{}, fmt.Errorf("container image %s: %w", origin, err)
	}
	if user, dir := config.Config.User, config.Config.WorkingDir; user != "" || dir != "" {
		b.say("  its user %q and directory %q are not heeded: %s logs in at home", user, dir, b.recipe.User.Name)
	}
	err = filtered(w, time.Time{}, func(w io.Writer) error { return oci.Flatten(image, w) })
	if err != nil {
		err = fmt.Errorf("container image %s: %w", origin, err)
	}
	return fetched{Origin: origin + " (" + digest + ")", Environment: config.Config.Env}, err
}

func (b *build) fetchDisk(ctx context.Context, file string, w io.Writer) error {
	return filtered(w, time.Time{}, func(w io.Writer) error {
		return disk.Extract(ctx, disk.Config{
			TempDir: b.config.TempDir, Environment: b.config.Environment, Progress: b.step,
		}, file, w)
	})
}

// step tells of a part of a step.
func (b *build) step(text string) { b.say("  %s", text) }

// diskFile returns the file of a disk image, downloaded if need be, and what
// is to be called once it was read.
func (b *build) diskFile(ctx context.Context, d Disk) (file string, done func(), err error) {
	if d.File != "" {
		file = b.recipe.path(d.File)
		sum := ""
		if d.SHA256 != "" {
			sum, err = fingerprint(file)
		}
		if err == nil && sum != d.SHA256 {
			err = fmt.Errorf("%s has SHA-256 %s, not %s", file, sum, d.SHA256)
		}
		return file, func() {}, err
	}
	f, err := os.CreateTemp(b.config.TempDir, "gatehouse-download-*")
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	done = func() { os.Remove(f.Name()) } //nolint:errcheck // a temporary file
	if err := b.download(ctx, d, f); err != nil {
		done()
		return "", nil, fmt.Errorf("download %s: %w", d.URL, err)
	}
	return f.Name(), done, nil
}

func (b *build) download(ctx context.Context, d Disk, f *os.File) error {
	b.say("  download %s", d.URL)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, sum), resp.Body); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.SHA256 {
		return fmt.Errorf("it has SHA-256 %s, not %s", got, d.SHA256)
	}
	return nil
}
