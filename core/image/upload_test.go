package image_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/core/httpapi/httpapitest"
	"github.com/gatehouse-dev/gatehouse/core/image"
)

var alpha = image.Caller{Project: "alpha"}

// queued registers a raw image without data.
func queued(t *testing.T, s *image.Service) string {
	t.Helper()
	img, err := s.Create(t.Context(), alpha, image.Image{DiskFormat: "raw", ContainerFormat: "bare"})
	require.NoError(t, err)
	return img.ID
}

// requireEmpty holds that an image is queued and that no byte of it is kept.
func requireEmpty(t *testing.T, s *image.Service, dir, id string) {
	t.Helper()
	img, err := s.Get(context.Background(), alpha, id)
	require.NoError(t, err)
	assert.Equal(t, image.Queued, img.Status)
	assert.Nil(t, img.Data)
	requireNoFiles(t, dir)
}

func requireNoFiles(t *testing.T, dir string) {
	t.Helper()
	for _, part := range []string{"files", "uploads"} {
		entries, err := os.ReadDir(filepath.Join(dir, part))
		require.NoError(t, err)
		assert.Empty(t, entries, part)
	}
}

// cut yields its text and then fails.
type cut struct {
	io.Reader
	err error
}

func (c *cut) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if err == io.EOF {
		err = c.err
	}
	return n, err
}

func TestAnInterruptedUploadLeavesAQueuedImageAndNoBytes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	id := queued(t, s)
	for _, reason := range []error{io.ErrUnexpectedEOF, errors.New("connection reset")} {
		err := s.Upload(t.Context(), alpha, id, &cut{strings.NewReader("half"), reason})
		assert.Equal(t, fault.BadRequest, fault.KindOf(err), "%v", err)
		requireEmpty(t, s, dir, id)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Upload(ctx, alpha, id, readerFunc(func(b []byte) (int, error) { cancel(); return len(b), nil }))
	require.ErrorIs(t, err, context.Canceled)
	requireEmpty(t, s, dir, id)

	require.NoError(t, s.Upload(t.Context(), alpha, id, strings.NewReader("whole")), "a second try")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestAConnectionLostInMidUploadLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	c := serve(t, s)
	id := queued(t, s)
	conn, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(c.url, image.Prefix), "http://"))
	require.NoError(t, err)
	_, err = io.WriteString(conn, "PUT /image/v2/images/"+id+"/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: alpha\r\n"+
		"Content-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\nonly this")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn) // the server answers and closes when it is done
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	assert.Contains(t, string(answer), "400 Bad Request")
	assert.Contains(t, string(answer), "interrupted after 9 bytes")
	requireEmpty(t, s, dir, id)
}

func TestDataThatIsNotWhatItIsSaidToBeIsRefused(t *testing.T) {
	dir := t.TempDir()
	base, overlay := filepath.Join(dir, "base"), filepath.Join(dir, "overlay")
	qemuImg(t, "create", "-q", "-f", "qcow2", base, "1G")
	qemuImg(t, "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay)
	store := t.TempDir()
	s := open(t, store)
	c := serve(t, s)
	for _, test := range []struct{ declared, file, reason string }{
		{"qcow2", overlay, "has a backing file"},
		{"raw", base, "is of format qcow2"},
		{"aki", base, "is of format qcow2"},
		{"iso", base, "is of format qcow2"},
		{"qcow2", "/bin/sh", "not of disk format qcow2"},
	} {
		content, err := os.ReadFile(test.file)
		require.NoError(t, err)
		img := c.register(t, "alpha", images.CreateOpts{Name: "x", DiskFormat: test.declared})
		response, body := c.do(t, "alpha", "PUT", "/v2/images/"+img.ID+"/file", string(content), "Content-Type", "application/octet-stream")
		assert.Equal(t, http.StatusBadRequest, response.StatusCode)
		assert.Contains(t, body, test.reason)
		requireEmpty(t, s, store, img.ID)
	}
	content, err := os.ReadFile(base)
	require.NoError(t, err)
	img := c.put(t, "alpha", images.CreateOpts{Name: "x", DiskFormat: "qcow2"}, string(content))
	assert.Equal(t, int64(1<<30), img.VirtualSize)
	assert.Equal(t, int64(len(content)), img.SizeBytes)
}

func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "qemu-img", args...).CombinedOutput()
	require.NoError(t, err, "qemu-img %v: %s", args, out)
}

// The upload's file is a link to /dev/full, which is what a full disk is to a
// program.
func TestAFullDiskIsToldAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	c := serve(t, s)
	id := queued(t, s)
	require.NoError(t, os.Symlink("/dev/full", filepath.Join(dir, "uploads", id)))
	response, body := c.do(t, "alpha", "PUT", "/v2/images/"+id+"/file", "x", "Content-Type", "application/octet-stream")
	assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	assert.Contains(t, body, "Image storage media is full")
	requireEmpty(t, s, dir, id)
}

func TestAnImageGetsItsDataOnce(t *testing.T) {
	c := newCloud(t)
	id := c.put(t, "alpha", images.CreateOpts{Name: "x"}, "first").ID
	for _, test := range []struct {
		path, kind, body string
		status           int
	}{
		{id, "application/octet-stream", "second", 409},
		{id, "text/plain", "second", 415},
		{id, "", "second", 415},
		{"5cb3e0d3-5ea0-4a59-9a0c-a3bdaa0b38fe", "application/octet-stream", "x", 404},
	} {
		response, body := c.do(t, "alpha", "PUT", "/v2/images/"+test.path+"/file", test.body, "Content-Type", test.kind)
		assert.Equal(t, test.status, response.StatusCode, body)
	}
	formless, err := images.Create(t.Context(), c.as("alpha"), images.CreateOpts{Name: "formless"}).Extract()
	require.NoError(t, err)
	response, body := c.do(t, "alpha", "PUT", "/v2/images/"+formless.ID+"/file", "x", "Content-Type", "application/octet-stream")
	assert.Equal(t, http.StatusBadRequest, response.StatusCode, body)

	content, err := imagedata.Download(t.Context(), c.as("alpha"), id).Extract()
	require.NoError(t, err)
	data, err := io.ReadAll(content)
	require.NoError(t, err)
	assert.Equal(t, "first", string(data))
}

// begun is an upload of which "first" has arrived: it ends when the writer is
// closed, with the error on done.
func begun(t *testing.T, s *image.Service, id string) (write io.WriteCloser, done <-chan error) {
	t.Helper()
	read, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- s.Upload(context.Background(), alpha, id, read) }()
	_, err := writer.Write([]byte("first"))
	require.NoError(t, err)
	return writer, ended
}

func TestASecondUploadCannotBeginWhileOneRuns(t *testing.T) {
	s := open(t, t.TempDir())
	id := queued(t, s)
	write, done := begun(t, s, id)

	err := s.Upload(t.Context(), alpha, id, strings.NewReader("second"))
	assert.Equal(t, fault.Conflict, fault.KindOf(err), "%v", err)
	_, err = s.Update(t.Context(), alpha, id, []image.Change{{Op: image.Replace, Name: "disk_format", Value: []byte(`"qcow2"`)}})
	assert.Equal(t, fault.Forbidden, fault.KindOf(err), "%v", err)

	require.NoError(t, write.Close())
	require.NoError(t, <-done)
	img, err := s.Get(t.Context(), alpha, id)
	require.NoError(t, err)
	assert.Equal(t, int64(5), img.Data.Size)
}

func TestAnImageDeletedInMidUploadLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	id := queued(t, s)
	write, done := begun(t, s, id)
	require.NoError(t, s.Delete(t.Context(), alpha, id))
	require.NoError(t, write.Close())
	err := <-done
	assert.Equal(t, fault.Gone, fault.KindOf(err), "%v", err)
	requireNoFiles(t, dir)
}

func TestARestartClearsWhatWasCutShort(t *testing.T) {
	dir := t.TempDir()
	s, err := image.New(t.Context(), image.Config{Dir: dir, Log: discard, Tokens: httpapitest.Callers})
	require.NoError(t, err)
	kept, half := queued(t, s), queued(t, s)
	require.NoError(t, s.Upload(t.Context(), alpha, kept, strings.NewReader("kept")))

	// The process dies in mid-upload: the reader never returns to Upload.
	read, write := io.Pipe()
	dead := make(chan error)
	go func() { dead <- s.Upload(context.Background(), alpha, half, read) }()
	_, err = write.Write([]byte("half"))
	require.NoError(t, err)
	orphan := filepath.Join(dir, "files", "5cb3e0d3-5ea0-4a59-9a0c-a3bdaa0b38fe")
	require.NoError(t, os.WriteFile(orphan, []byte("of a deletion that was cut short"), 0o600))

	reborn := open(t, dir)
	img, err := reborn.Get(t.Context(), alpha, half)
	require.NoError(t, err)
	assert.Equal(t, image.Queued, img.Status)
	assert.NoFileExists(t, orphan)
	file, err := reborn.Open(t.Context(), kept)
	require.NoError(t, err)
	defer file.Close()
	content, err := io.ReadAll(file)
	require.NoError(t, err)
	assert.Equal(t, "kept", string(content))

	require.NoError(t, write.CloseWithError(io.ErrUnexpectedEOF))
	require.Error(t, <-dead)
	require.NoError(t, s.Close())
}

func TestALinkedFileOutlivesItsImage(t *testing.T) {
	s := open(t, t.TempDir())
	id := queued(t, s)
	_, err := s.Open(t.Context(), id)
	assert.Equal(t, fault.Conflict, fault.KindOf(err), "an image without data: %v", err)
	require.NoError(t, s.Upload(t.Context(), alpha, id, strings.NewReader("bytes")))

	opened, err := s.Open(t.Context(), id)
	require.NoError(t, err)
	defer opened.Close()
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Link(opened.(*os.File).Name(), link))
	require.NoError(t, s.Delete(t.Context(), alpha, id))
	content, err := os.ReadFile(link)
	require.NoError(t, err)
	assert.Equal(t, "bytes", string(content))
}

// An upload allocates its buffer and little else, however long it is.
func TestMemoryDoesNotGrowWithTheImage(t *testing.T) {
	s := open(t, t.TempDir())
	id := queued(t, s)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, s.Upload(t.Context(), alpha, id, io.LimitReader(zeros{}, 256<<20)))
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func BenchmarkUpload(b *testing.B) {
	const size = 256 << 20
	s, err := image.New(b.Context(), image.Config{Dir: b.TempDir(), Log: discard, Tokens: httpapitest.Callers})
	require.NoError(b, err)
	defer s.Close()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		img, err := s.Create(b.Context(), alpha, image.Image{DiskFormat: "raw", ContainerFormat: "bare"})
		require.NoError(b, err)
		require.NoError(b, s.Upload(b.Context(), alpha, img.ID, io.LimitReader(zeros{}, size)))
		require.NoError(b, s.Delete(b.Context(), alpha, img.ID))
	}
}

func BenchmarkDownload(b *testing.B) {
	const size = 256 << 20
	s, err := image.New(b.Context(), image.Config{Dir: b.TempDir(), Log: discard, Tokens: httpapitest.Callers})
	require.NoError(b, err)
	defer s.Close()
	img, err := s.Create(b.Context(), alpha, image.Image{DiskFormat: "raw", ContainerFormat: "bare"})
	require.NoError(b, err)
	require.NoError(b, s.Upload(b.Context(), alpha, img.ID, io.LimitReader(zeros{}, size)))
	c := serve(b, s)
	buffer := make([]byte, 1<<20)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, c.url+"/v2/images/"+img.ID+"/file", bytes.NewReader(nil))
		require.NoError(b, err)
		request.Header.Set("X-Auth-Token", "alpha")
		response, err := http.DefaultClient.Do(request)
		require.NoError(b, err)
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, response.Body, buffer)
		require.NoError(b, err)
		require.Equal(b, int64(size), n)
		require.NoError(b, response.Body.Close())
	}
}
