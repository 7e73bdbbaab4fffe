package image

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/testenv/agent"
)

// bootTime is how long a new image may take from power-on to a login.
const bootTime = 2 * time.Minute

// check boots an image once, as the cloud will, and logs in.
func (b *build) check(ctx context.Context, a Artefacts) error {
	b.say("boot it …")
	ctx, cancel := context.WithTimeoutCause(ctx, bootTime, fmt.Errorf("it did not answer within %s", bootTime))
	defer cancel()
	dir, err := os.MkdirTemp(b.config.Dir, "check-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	m, err := b.powerOn(ctx, a, dir)
	if err != nil {
		return err
	}
	defer m.powerOff()
	began := time.Now()
	if err := m.awaitReady(ctx); err != nil {
		return fmt.Errorf("%w; its console:\n%s", err, m.console.last(30))
	}
	b.say("  ready after %.1f s", time.Since(began).Seconds())
	if err := m.logIn(ctx, a.User); err != nil {
		return fmt.Errorf("log in: %w; its console:\n%s", err, m.console.last(30))
	}
	b.say("  logged in after %.1f s", time.Since(began).Seconds())
	return nil
}

// machine is a running QEMU.
type machine struct {
	console *tail
	key     ssh.Signer
	address string
	ready   chan struct{}
	exited  chan error
	stop    func()
}

func (b *build) powerOn(ctx context.Context, a Artefacts, dir string) (*machine, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	m := &machine{ready: make(chan struct{}), exited: make(chan error, 1)}
	if m.key, err = ssh.NewSignerFromSigner(private); err != nil {
		return nil, err
	}
	drive := filepath.Join(dir, "config.iso")
	if err := writeConfigDrive(dir, drive, m.key.PublicKey()); err != nil {
		return nil, fmt.Errorf("config drive: %w", err)
	}
	overlay := filepath.Join(dir, "root.qcow2")
	if err := b.run(b.command(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-b", a.Root, "-F", "qcow2", overlay), nil); err != nil {
		return nil, err
	}
	if m.address, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	ctx, m.stop = context.WithCancel(ctx)
	cmd := b.command(ctx, b.config.QEMU, machineArgs(a, overlay, drive, m.address)...)
	m.console = &tail{tell: func(line string) {
		if line == agent.Ready {
			close(m.ready)
		}
	}}
	cmd.Stdout, cmd.Stderr = m.console, m.console
	if err := cmd.Start(); err != nil {
		m.stop()
		return nil, err
	}
	go func() { m.exited <- cmd.Wait() }()
	return m, nil
}

// machineArgs are QEMU's arguments for a machine like the cloud's.
func machineArgs(a Artefacts, root, drive, address string) []string {
	return []string{
		"-machine", "pc,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "1024",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", a.Kernel, "-initrd", a.Ramdisk, "-append", a.CommandLine,
		"-drive", "if=none,id=root,format=qcow2,cache=unsafe,file=" + escape(root),
		"-device", "virtio-blk-pci,drive=root",
		"-drive", "if=none,id=config,format=raw,readonly=on,file=" + escape(drive),
		"-device", "virtio-blk-pci,drive=config",
		"-netdev", "user,id=net,restrict=on,hostfwd=tcp:" + address + "-:22",
		"-device", "virtio-net-pci,netdev=net,romfile=",
		"-device", "virtio-rng-pci",
		"-serial", "stdio",
	}
}

// escape doubles commas, which separate QEMU's options.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }

// freeAddress returns a loopback address and port that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (m *machine) powerOff() {
	m.stop()
	<-m.exited //nolint:errcheck // it was killed
}

func (m *machine) awaitReady(ctx context.Context) error {
	select {
	case <-m.ready:
		return nil
	case err := <-m.exited:
		m.exited <- err // for powerOff
		return fmt.Errorf("the machine went off: %w", errors.Join(err, errOff))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errOff says that a machine went off by itself.
var errOff = errors.New("before it was ready")

// logIn proves that the user can log in and is allowed to become root.
func (m *machine) logIn(ctx context.Context, user string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c, channels, requests, err := ssh.NewClientConn(conn, m.address, &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(m.key)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // a machine of our own, which holds nothing
	})
	if err != nil {
		return err
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	out, err := session.CombinedOutput("sudo -n true")
	if err != nil {
		return fmt.Errorf("sudo: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// writeConfigDrive makes a config drive with one key.
func writeConfigDrive(dir, to string, key ssh.PublicKey) error {
	metadata, err := json.Marshal(map[string]any{
		"uuid":        "00000000-0000-0000-0000-000000000000",
		"hostname":    "check",
		"public_keys": map[string]string{"check": string(ssh.MarshalAuthorizedKey(key))},
	})
	if err != nil {
		return err
	}
	work := filepath.Join(dir, "drive")
	latest := filepath.Join(work, "openstack", "latest")
	if err := os.MkdirAll(latest, 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(latest, "meta_data.json"), metadata, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	const size, block = 1 << 20, 2048
	iso, err := iso9660.Create(file.New(f, false), size, 0, block, work)
	if err != nil {
		return err
	}
	err = iso.Finalize(iso9660.FinalizeOptions{RockRidge: true, VolumeIdentifier: "config-2"})
	if err != nil {
		return err
	}
	// A drive hands out whole sectors.
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	return f.Truncate((end + block - 1) / block * block)
}
