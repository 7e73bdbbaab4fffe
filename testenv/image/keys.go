package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// keys name the layers by what goes into them, in hexadecimal.
type keys struct{ kernel, root, ramdisk, image string }

// hash computes the keys. The base system and the kernel must be there: a
// layer's key contains their content's.
func (b *build) hash() (keys, error) {
	var k keys
	k.kernel = digest("kernel 1", b.kernel.Digest)
	additions, err := json.Marshal(b.recipe.additions())
	if err != nil {
		return k, err
	}
	inputs := []string{
		b.base.Digest, b.kernel.Digest, strings.Join(b.base.Environment, "\n"),
		string(additions), rootStage, warmTemplate, strconv.Itoa(additionsVersion),
	}
	for _, name := range b.recipe.Inputs() {
		sum, err := fingerprint(b.config.Inputs[name])
		if err != nil {
			return k, err
		}
		inputs = append(inputs, name, sum)
	}
	for _, f := range b.recipe.Files {
		if f.From != "" {
			sum, err := fingerprint(b.recipe.path(f.From))
			if err != nil {
				return k, fmt.Errorf("file %s: %w", f.Path, err)
			}
			inputs = append(inputs, sum)
		}
	}
	k.root = digest(inputs...)
	agent, err := fingerprint(b.config.Agent)
	if err != nil {
		return k, fmt.Errorf("the agent: %w", err)
	}
	modules, err := json.Marshal([]Modules{standardModules(b.recipe.Init), b.recipe.Modules})
	k.ramdisk = digest(b.kernel.Digest, agent, string(modules))
	k.image = digest(k.kernel, k.root, k.ramdisk, b.commandLine())
	return k, err
}

// additions returns the part of a recipe that is seen on the root disk beyond
// the base system and the kernel's modules.
func (r Recipe) additions() Recipe {
	r.Name, r.CommandLine, r.Modules, r.Kernel = "", "", Modules{}, nil
	r.Debian, r.OCI, r.Disk, r.Installer = nil, nil, nil, nil
	return r
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// fingerprint tells inputs apart: a Go toolchain by its VERSION file, all else
// by its content.
func fingerprint(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if !info.IsDir() {
		err := hashFile(h, path)
		return hex.EncodeToString(h.Sum(nil)), err
	}
	if version, err := os.ReadFile(filepath.Join(path, "VERSION")); err == nil {
		return string(version), nil
	}
	err = filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		below, err := filepath.Rel(path, file)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %s %d\n", below, info.Mode(), info.Size())
		switch {
		case info.Mode().IsRegular():
			return hashFile(h, file)
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(file)
			fmt.Fprintf(h, "%q\n", link)
			return err
		}
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

func hashFile(h io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(h, f)
	return err
}
