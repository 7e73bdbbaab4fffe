package installer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// Types of files in an archive's modes.
const (
	modeDirectory  = 0o040755
	modeRegular    = 0o100644
	modeExecutable = 0o100755
)

// writeArchive writes a cpio archive of files of the host, by their names in
// it, in the "newc" format of Linux's Documentation/driver-api/early-userspace/
// buffer-format.rst. Directories come before what is in them. All belongs to
// root and can be read by everybody, and executed if it could on the host.
func writeArchive(w io.Writer, files map[string]string) error {
	var b bytes.Buffer
	made := map[string]bool{".": true}
	var directory func(name string)
	directory = func(name string) {
		if !made[name] {
			made[name] = true
			directory(path.Dir(name))
			entry(&b, name, modeDirectory, nil)
		}
	}
	for _, to := range slices.Sorted(maps.Keys(files)) {
		name := strings.TrimPrefix(path.Join("/", to), "/")
		if name == "" {
			return errors.New("an injected file needs a name")
		}
		content, err := os.ReadFile(files[to])
		if err != nil {
			return fmt.Errorf("inject %s: %w", name, err)
		}
		mode := modeRegular
		if info, err := os.Stat(files[to]); err == nil && info.Mode()&0o111 != 0 {
			mode = modeExecutable
		}
		directory(path.Dir(name))
		entry(&b, name, mode, content)
	}
	entry(&b, "TRAILER!!!", 0, nil)
	_, err := w.Write(b.Bytes())
	return err
}

// entry adds a member. Inode numbers only matter to hard links; times are
// zero, so that the same files give the same archive.
func entry(b *bytes.Buffer, name string, mode int, content []byte) {
	pad := func() { b.Write(make([]byte, -b.Len()&3)) }
	fmt.Fprintf(b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	b.WriteString(name + "\x00")
	pad()
	b.Write(content)
	pad()
}
