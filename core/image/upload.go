package image

import (
	"context"
	"crypto/md5" //nolint:gosec // the API's checksum is an MD5; os_hash_value is what protects
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/image/format"
)

// MaxSize is how many bytes an image may have: 1 TiB, as in Glance.
const MaxSize = 1 << 40

// cleanupTime bounds what is done after the caller has gone.
const cleanupTime = 30 * time.Second

// Upload gives a queued image its data, all that body yields, and makes it
// active. Memory use does not depend on the size. If anything fails, or ctx
// ends, the image is queued again and nothing of the data remains.
//
// Data that is not what the image's disk format says is fault.BadRequest, an
// image that has data already fault.Conflict, one that was deleted in the
// meantime fault.Gone, a full disk fault.NoSpace.
func (s *Service) Upload(ctx context.Context, caller Caller, id string, body io.Reader) error {
	img, err := s.own(ctx, caller, id, "upload_image")
	if err != nil {
		return err
	}
	began, err := s.store.setStatus(ctx, id, []string{Queued}, Saving, now())
	if err != nil {
		return err
	}
	if !began {
		return fault.New(fault.Conflict, "Image status transition from %s to saving is not allowed", img.Status)
	}
	start := time.Now()
	data, err := s.receive(ctx, id, body)
	if err != nil {
		s.abandon(ctx, id)
		return err
	}
	s.log.InfoContext(ctx, "image active", "image", id, "bytes", data.Size, "took", time.Since(start))
	return nil
}

// abandon makes an image whose upload failed queued again.
func (s *Service) abandon(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if _, err := s.store.setStatus(ctx, id, []string{Saving}, Queued, now()); err != nil {
		s.log.ErrorContext(ctx, "image stays in saving until the next start", "image", id, "err", err)
	}
}

// receive stores body as the data of an image that is Saving, and makes it
// Active. It leaves no file behind if it fails.
func (s *Service) receive(ctx context.Context, id string, body io.Reader) (Data, error) {
	img, err := s.store.get(ctx, id) // its formats are fixed only now
	if err != nil {
		return Data{}, err
	}
	if img.DiskFormat == "" || img.ContainerFormat == "" {
		return Data{}, fault.New(fault.BadRequest, "Properties disk_format, container_format must be set prior to saving data.")
	}
	file, err := s.files.create(img.ID)
	if err != nil {
		return Data{}, storageFault(err)
	}
	defer file.Close()
	data, err := s.write(ctx, img, file, body)
	if err != nil {
		return Data{}, errors.Join(err, s.files.discard(img.ID))
	}
	// From here on the bytes are safe, and the caller need not wait for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	activated, err := s.store.activate(ctx, img.ID, data, now())
	if err == nil && !activated {
		err = fault.New(fault.Gone, "Image %s could not be found after upload. "+
			"The image may have been deleted during the upload.", img.ID)
	}
	if err != nil {
		return Data{}, errors.Join(err, s.files.remove(img.ID))
	}
	return data, nil
}

// write fills file from body, examines it and puts it in its place.
func (s *Service) write(ctx context.Context, img Image, file *os.File, body io.Reader) (Data, error) {
	data, err := copyHashed(ctx, file, body)
	if err != nil {
		return Data{}, err
	}
	data.VirtualSize, err = format.Check(file, data.Size, img.DiskFormat)
	if reason, ok := errors.AsType[*format.Error](err); ok {
		return Data{}, fault.New(fault.BadRequest, "%s", reason.Reason)
	}
	if err != nil {
		return Data{}, err
	}
	if err := s.files.complete(img.ID, file); err != nil {
		return Data{}, storageFault(err)
	}
	return data, nil
}

// copyHashed copies body to file, hashing on the way.
func copyHashed(ctx context.Context, file io.Writer, body io.Reader) (Data, error) {
	sums := []hash.Hash{md5.New(), sha512.New()} //nolint:gosec // see the import
	buffer := make([]byte, 1<<20)
	size := int64(0)
	for {
		n, err := fill(body, buffer)
		if writeErr := spread(file, sums, buffer[:n]); writeErr != nil {
			return Data{}, storageFault(writeErr)
		}
		size += int64(n)
		switch {
		case size > MaxSize:
			return Data{}, fault.New(fault.TooLarge, "The incoming image is too large: at most %d bytes are allowed.", int64(MaxSize))
		case err == io.EOF: //nolint:errorlint // as io.Reader promises
			return Data{Size: size, Checksum: hexSum(sums[0]), HashValue: hexSum(sums[1])}, nil
		case err != nil:
			return Data{}, fault.New(fault.BadRequest, "The upload was interrupted after %d bytes: %v", size, err)
		case ctx.Err() != nil:
			return Data{}, ctx.Err()
		}
	}
}

// fill reads until buffer is full or r has no more. Unlike io.ReadFull it
// keeps the end (io.EOF) apart from a body that was cut off.
func fill(r io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var m int
		m, err = r.Read(buffer[n:])
		n += m
	}
	return n, err
}

// spread writes one piece to the file and into each hash, all at the same
// time: hashing is what bounds the speed of an upload.
func spread(file io.Writer, sums []hash.Hash, piece []byte) error {
	var hashing sync.WaitGroup
	for _, sum := range sums {
		hashing.Go(func() { sum.Write(piece) }) // a hash never fails
	}
	_, err := file.Write(piece)
	hashing.Wait()
	return err
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// storageFault tells a full disk, which the caller should hear of, from what
// only the operator can mend.
func storageFault(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.New(fault.NoSpace, "Image storage media is full: There is not enough disk space on the image storage media.")
	}
	return fmt.Errorf("store image: %w", err)
}
