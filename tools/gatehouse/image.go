package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/testenv/image"
)

func imageCommand(g *global) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Build the images of test machines"}
	cmd.AddCommand(imageBuildCommand(g))
	return cmd
}

func imageBuildCommand(g *global) *cobra.Command {
	flags := imageFlags{}
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the image of test machines, and register it in the cloud",
		Long: `Build the image of test machines: Debian with git, make, gcc, the Go toolchain
of this host and golangci-lint, with warm build caches. What was built before
from the same inputs is taken as it is.

The image is then registered in the running Gatehouse whose data directory
--data names. With --no-register it is only built.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			say := func(format string, args ...any) { fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...) }
			file := filepath.Join(g.data, "clouds.yaml")
			if flags.noRegister {
				file = ""
			} else if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("there is no Gatehouse in %s: start one with `gatehouse up`, name its directory with --data, or only build with --no-register", g.data)
			}
			return buildImage(cmd.Context(), flags, file, say)
		},
	}
	flags.register(cmd.Flags())
	cmd.Flags().BoolVar(&flags.noRegister, "no-register", false, "build only")
	return cmd
}

// imageFlags say what images are made of.
type imageFlags struct {
	agent, golangciLint string
	noRegister          bool
}

func (f *imageFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.agent, "agent", "", "gatehouse-agent, the program inside test machines (default: beside gatehouse)")
	flags.StringVar(&f.golangciLint, "golangci-lint", "", "golangci-lint for the image (default: the one that make built, else the one in PATH)")
}

// complete finds what no flag names.
func (f *imageFlags) complete() error {
	if f.agent == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		f.agent = filepath.Join(filepath.Dir(self), "gatehouse-agent")
	}
	if f.golangciLint == "" {
		f.golangciLint = filepath.Join(defaultCache(), "bin", "golangci-lint")
		if _, err := os.Stat(f.golangciLint); err != nil {
			found, err := exec.LookPath("golangci-lint")
			if err != nil {
				return errors.New("golangci-lint is not found: run `make tools`, or name it with --golangci-lint")
			}
			f.golangciLint = found
		}
	}
	for _, file := range []string{f.agent, f.golangciLint} {
		if _, err := os.Stat(file); err != nil {
			return err
		}
	}
	return nil
}

// buildImage builds the test image and, unless file is empty, registers it in
// the cloud that this clouds.yaml names.
func buildImage(ctx context.Context, f imageFlags, file string, say func(string, ...any)) error {
	if err := f.complete(); err != nil {
		return err
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("find the Go toolchain that goes into the image: %w", err)
	}
	recipe, err := image.Named("go")
	if err != nil {
		return err
	}
	built, err := image.Build(ctx, image.Config{
		Dir: filepath.Join(defaultCache(), "images"), Agent: f.agent,
		Inputs:      map[string]string{"GOROOT": strings.TrimSpace(string(goroot)), "GOLANGCI_LINT": f.golangciLint},
		Environment: os.Environ(),
		Progress:    func(e image.Event) { say("%s", e.Text) },
	}, recipe)
	if err != nil {
		return err
	}
	if file == "" {
		return nil
	}
	return registerImage(ctx, built, file, say)
}

// registerImage registers a built image in the cloud that a clouds.yaml names.
func registerImage(ctx context.Context, built image.Artefacts, file string, say func(string, ...any)) error {
	auth, endpoint, tls, err := clouds.Parse(clouds.WithCloudName(cloudName), clouds.WithLocations(file))
	if err != nil {
		return err
	}
	client, err := config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls))
	if err != nil {
		return fmt.Errorf("log in to the cloud of %s: is its gatehouse up? %w", file, err)
	}
	images, err := openstack.NewImageV2(client, endpoint)
	if err != nil {
		return err
	}
	id, err := image.Register(ctx, images, built)
	if err != nil {
		return err
	}
	say("image %s is registered (%s)", built.Name, id)
	return nil
}
