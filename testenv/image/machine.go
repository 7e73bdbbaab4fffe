package image

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatehouse-dev/gatehouse/core/metadata"
	"github.com/gatehouse-dev/gatehouse/testenv/agent"
)

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
	config, err := drive(dir, m.key.PublicKey())
	if err != nil {
		return nil, err
	}
	configFile := filepath.Join(dir, "config.iso")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		return nil, err
	}
	overlay := filepath.Join(dir, "root.qcow2")
	if err := b.run(b.command(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-b", a.Root, "-F", "qcow2", overlay), nil); err != nil {
		return nil, err
	}
	if m.address, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	ctx, m.stop = context.WithCancel(ctx)
	cmd := b.command(ctx, b.config.QEMU, machineArgs(a, overlay, configFile, m.address)...)
	m.console = &tail{tell: func(line string) bool {
		if line == agent.Ready {
			close(m.ready)
		}
		return false
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
		"-device", "virtio-net-pci,netdev=net,romfile=,mac=" + hardwareAddress,
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

// awaitLogIn tries to log in until it succeeds.
func (m *machine) awaitLogIn(ctx context.Context, user, command string) error {
	ticks := time.NewTicker(2 * time.Second)
	defer ticks.Stop()
	for {
		// QEMU takes the connection, whether or not the machine does.
		try, cancel := context.WithTimeout(ctx, loginTime)
		err := m.run(try, user, command)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ticks.C:
		case exit := <-m.exited:
			m.exited <- exit // for powerOff
			return errors.Join(exit, errOff)
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// run logs in and runs a command.
func (m *machine) run(ctx context.Context, user, command string) (err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
	}()
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
	out, err := session.CombinedOutput(command)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, bytes.TrimSpace(out))
	}
	return nil
}

// drive is a config drive like the cloud's, with one key.
func drive(dir string, key ssh.PublicKey) ([]byte, error) {
	return metadata.ConfigDrive(dir, metadata.Instance{
		ID: "00000000-0000-0000-0000-000000000000", Name: "check", Hostname: "check",
		Keys: []metadata.Key{{Name: "check", Type: "ssh", Data: string(ssh.MarshalAuthorizedKey(key))}},
		MAC:  hardwareAddress, PortID: "check", Address: netip.AddrFrom4([4]byte{10, 0, 2, 15}),
	})
}

// hardwareAddress is QEMU's usual one.
const hardwareAddress = "52:54:00:12:34:56"
