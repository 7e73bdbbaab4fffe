package sshd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

// hookPath is the only file that scp and sftp serve.
const hookPath = "hooks/commit-msg"

// scp serves "scp -f hooks/commit-msg": the client reads a file.
func (ss *session) scp(args []string) error {
	var file string
	from, dated := false, false
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			file = strings.TrimPrefix(path.Clean("/"+a), "/")
			continue
		}
		from = from || strings.Contains(a, "f")
		dated = dated || strings.Contains(a, "p")
	}
	if !from {
		return ss.scpError("scp: only reading is possible")
	}
	if file != hookPath {
		return ss.scpError("scp: " + file + ": No such file or directory")
	}
	in := bufio.NewReader(ss.channel)
	var messages []string
	if dated {
		now := time.Now().Unix()
		messages = append(messages, fmt.Sprintf("T%d 0 %d 0\n", now, now))
	}
	messages = append(messages,
		fmt.Sprintf("C0755 %d %s\n", len(review.CommitMsgHook), path.Base(hookPath)),
		string(review.CommitMsgHook)+"\x00")
	if err := acknowledged(in); err != nil {
		return err
	}
	for _, m := range messages {
		if _, err := io.WriteString(ss.channel, m); err != nil {
			return err
		}
		if err := acknowledged(in); err != nil {
			return err
		}
	}
	return nil
}

// acknowledged reads the client's answer: 0 to go on.
func acknowledged(in *bufio.Reader) error {
	b, err := in.ReadByte()
	if err == nil && b != 0 {
		err = exitError(1)
	}
	return err
}

func (ss *session) scpError(text string) error {
	fmt.Fprintf(ss.channel, "\x01%s\n", text)
	return exitError(1)
}

// sftp serves the hook to clients that speak SFTP, as OpenSSH's scp does since
// version 9.
func (ss *session) sftp(ctx context.Context) error {
	files := hookFiles{}
	server := sftp.NewRequestServer(ss.channel, sftp.Handlers{FileGet: files, FilePut: files, FileCmd: files, FileList: files})
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fault.New(fault.BadRequest, "sftp: %v", err)
	}
	return nil
}

// hookFiles is a file system of one file.
type hookFiles struct{}

// Fileread implements sftp.FileReader.
func (hookFiles) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	if r.Filepath != "/"+hookPath {
		return nil, os.ErrNotExist
	}
	return bytes.NewReader(review.CommitMsgHook), nil
}

// Filewrite implements sftp.FileWriter: nothing may be written.
func (hookFiles) Filewrite(*sftp.Request) (io.WriterAt, error) { return nil, os.ErrPermission }

// Filecmd implements sftp.FileCmder: nothing may be changed.
func (hookFiles) Filecmd(*sftp.Request) error { return os.ErrPermission }

// Filelist implements sftp.FileLister.
func (hookFiles) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	hooks := entry{name: "hooks", dir: true}
	hook := entry{name: path.Base(hookPath)}
	switch {
	case r.Filepath == "/" && r.Method == "List":
		return entries{hooks}, nil
	case r.Filepath == "/hooks" && r.Method == "List", r.Filepath == "/"+hookPath:
		return entries{hook}, nil
	case r.Filepath == "/":
		return entries{entry{name: "/", dir: true}}, nil
	case r.Filepath == "/hooks":
		return entries{hooks}, nil
	}
	return nil, os.ErrNotExist
}

type entries []fs.FileInfo

// ListAt implements sftp.ListerAt.
func (e entries) ListAt(into []fs.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(e)) {
		return 0, io.EOF
	}
	n := copy(into, e[offset:])
	if n < len(into) {
		return n, io.EOF
	}
	return n, nil
}

// entry is the hook, or a directory.
type entry struct {
	name string
	dir  bool
}

// The methods of fs.FileInfo.

func (e entry) Name() string       { return e.name }
func (e entry) ModTime() time.Time { return time.Unix(0, 0) }
func (e entry) IsDir() bool        { return e.dir }
func (e entry) Sys() any           { return nil }

func (e entry) Size() int64 {
	if e.dir {
		return 0
	}
	return int64(len(review.CommitMsgHook))
}

func (e entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir | 0o555
	}
	return 0o555
}
