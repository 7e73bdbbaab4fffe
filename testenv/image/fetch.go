package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"time"
)

// fetched is what is known of a tar archive that was fetched, noted in a file
// beside it.
type fetched struct {
	Digest      string    `json:"digest"` // of the archive
	Origin      string    `json:"origin"` // what exactly it came from
	Fetched     time.Time `json:"fetched"`
	Environment []string  `json:"environment,omitempty"` // of a container image: KEY=VALUE
}

// notesOf names the file beside an archive.
func notesOf(archive string) string { return strings.TrimSuffix(archive, ".tar") + ".json" }

// fetch gets the base system and the kernel unless they are there, and
// computes the keys of what is made of them.
func (b *build) fetch(ctx context.Context) error {
	key, err := b.sourceKey()
	if err != nil {
		return err
	}
	b.baseTar = b.file("base", key, ".tar")
	if b.base, err = b.fetchOnce(ctx, "base system", b.baseTar, b.fetchBase); err != nil {
		return err
	}
	b.kernel = b.base
	if !b.recipe.Kernel.Own {
		unlock, err := b.lock(ctx, b.kernelDir())
		if err != nil {
			return err
		}
		defer unlock()
		if b.kernel, err = b.fetchOnce(ctx, "kernel package", b.kernelTar(), b.fetchKernel); err != nil {
			return err
		}
	}
	b.keys, err = b.hash()
	return err
}

// fetcher writes an archive to w and returns what it came from.
type fetcher func(ctx context.Context, w io.Writer) (fetched, error)

// fetchOnce fetches an archive unless it is there.
func (b *build) fetchOnce(ctx context.Context, name, archive string, get fetcher) (fetched, error) {
	notes := notesOf(archive)
	if !b.config.Refresh {
		known, err := readNotes(notes, archive)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return known, err
		}
	}
	var got fetched
	err := b.remake(ctx, layer{name, archive, func(ctx context.Context, to string) error {
		f, err := os.Create(to)
		if err != nil {
			return err
		}
		defer f.Close()
		sum := sha256.New()
		began := time.Now()
		if got, err = get(ctx, io.MultiWriter(f, sum)); err != nil {
			return err
		}
		got.Digest, got.Fetched = hex.EncodeToString(sum.Sum(nil)), began.UTC().Truncate(time.Second)
		// Archive and notes must not be of different times if this is cut off.
		if err := os.Remove(notes); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return f.Close()
	}})
	if err != nil {
		return got, err
	}
	text, err := json.MarshalIndent(got, "", "\t")
	if err != nil {
		return got, err
	}
	b.say("  from %s", got.Origin)
	return got, os.WriteFile(notes, append(text, '\n'), 0o600)
}

// readNotes returns what is known of an archive; os.ErrNotExist if it or the
// notes are missing.
func readNotes(notes, archive string) (fetched, error) {
	var known fetched
	if _, err := os.Stat(archive); err != nil {
		return known, err
	}
	text, err := os.ReadFile(notes)
	if err != nil {
		return known, err
	}
	return known, json.Unmarshal(text, &known)
}
