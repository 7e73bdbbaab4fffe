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

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/testenv/image"
)

func imageCommand(g *global) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Build the images of test machines"}
	cmd.AddCommand(imageBuildCommand(g), imageRecipesCommand())
	return cmd
}

func imageBuildCommand(g *global) *cobra.Command {
	flags := imageFlags{}
	cmd := &cobra.Command{
		Use:   "build [RECIPE...]",
		Short: "Build images of test machines, and register them in the cloud",
		Long: `Build the images that recipes describe: by default "go", which is Debian with
git, make, gcc, the Go toolchain of this host and golangci-lint, with warm build
caches. A recipe is a name in the box (see gatehouse image recipes) or a YAML
file: a path that has a slash or ends in .yaml. docs/images.md says what may stand
in one. What was built before from the same inputs is taken as it is.

The images are then registered in the running Gatehouse whose data directory
--data names, and a first machine of each is made, so that the cloud has the
template from which later ones are forked. With --no-register they are only
built.`,
		Example: `  gatehouse image build
  gatehouse image build python ./my-recipe.yaml
  gatehouse image build --no-register debian`,
		RunE: func(cmd *cobra.Command, recipes []string) error {
			say := func(format string, args ...any) { fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...) }
			file := filepath.Join(g.data, "clouds.yaml")
			if flags.noRegister {
				file = ""
			} else if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("there is no Gatehouse in %s: start one with `gatehouse up`, name its directory with --data, or only build with --no-register", g.data)
			}
			if len(recipes) == 0 {
				recipes = []string{defaultRecipe}
			}
			for _, recipe := range recipes {
				if err := buildAndRegister(cmd.Context(), flags, recipe, file, say); err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags.register(cmd.Flags())
	cmd.Flags().BoolVar(&flags.noRegister, "no-register", false, "build only")
	return cmd
}

func imageRecipesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "recipes [NAME]",
		Short: "List the recipes in the box, or print one to start from",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(names) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), strings.Join(image.Recipes(), "\n"))
				return nil
			}
			recipe, err := image.Named(names[0])
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(recipe.Text())
			return err
		},
	}
}

// defaultRecipe is the recipe of testImage.
const defaultRecipe = "go"

// imageFlags say what images are made of.
type imageFlags struct {
	agent, golangciLint string
	noRegister, refresh bool
}

func (f *imageFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.agent, "agent", "", "gatehouse-agent, the program inside test machines (default: beside gatehouse)")
	flags.StringVar(&f.golangciLint, "golangci-lint", "", "golangci-lint for the image (default: the one that make built, else the one in PATH)")
	flags.BoolVar(&f.refresh, "refresh", false, "fetch the distribution's packages anew, with their security updates")
}

// findAgent returns the program inside test machines.
func (f imageFlags) findAgent() (string, error) {
	agent := f.agent
	if agent == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		agent = filepath.Join(filepath.Dir(self), "gatehouse-agent")
	}
	if _, err := os.Stat(agent); err != nil {
		return "", fmt.Errorf("the program inside test machines is not found: run `make build`, or name it with --agent: %w", err)
	}
	return agent, nil
}

// findInput returns the host's file or tree that recipes call by this name.
func (f imageFlags) findInput(ctx context.Context, name string) (string, error) {
	switch name {
	case "GOROOT":
		goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return "", fmt.Errorf("find the Go toolchain that goes into the image: %w", err)
		}
		return strings.TrimSpace(string(goroot)), nil
	case "GOLANGCI_LINT":
		return f.findGolangciLint()
	default:
		return "", fmt.Errorf("nothing of this host is called %s: a recipe may copy GOROOT and GOLANGCI_LINT", name)
	}
}

func (f imageFlags) findGolangciLint() (string, error) {
	if f.golangciLint != "" {
		_, err := os.Stat(f.golangciLint)
		return f.golangciLint, err
	}
	built := filepath.Join(defaultCache(), "bin", "golangci-lint")
	if _, err := os.Stat(built); err == nil {
		return built, nil
	}
	found, err := exec.LookPath("golangci-lint")
	if err != nil {
		return "", errors.New("golangci-lint is not found: run `make tools`, or name it with --golangci-lint")
	}
	return found, nil
}

// buildAndRegister builds an image and, unless file is empty, registers it in
// the cloud that this clouds.yaml names and has its template made.
func buildAndRegister(ctx context.Context, f imageFlags, recipe, file string, say func(string, ...any)) error {
	built, err := buildImage(ctx, f, recipe, say)
	if err != nil || file == "" {
		return err
	}
	client, err := imageClient(ctx, file)
	if err != nil {
		return err
	}
	id, err := image.Register(ctx, client, built)
	if err != nil {
		return err
	}
	say("image %s is registered (%s)", built.Name, id)
	if !built.Forks {
		return nil
	}
	return makeTemplate(ctx, file, id, say)
}

func buildImage(ctx context.Context, f imageFlags, name string, say func(string, ...any)) (image.Artefacts, error) {
	recipe, err := image.Open(name)
	if err != nil {
		return image.Artefacts{}, err
	}
	agent, err := f.findAgent()
	if err != nil {
		return image.Artefacts{}, err
	}
	inputs := map[string]string{}
	for _, input := range recipe.Inputs() {
		if inputs[input], err = f.findInput(ctx, input); err != nil {
			return image.Artefacts{}, err
		}
	}
	return image.Build(ctx, image.Config{
		Dir: filepath.Join(defaultCache(), "images"), Agent: agent, Inputs: inputs, Refresh: f.refresh,
		Environment: os.Environ(),
		Progress:    func(e image.Event) { say("%s", e.Text) },
	}, recipe)
}

// imageClient logs in to the cloud that a clouds.yaml names.
func imageClient(ctx context.Context, file string) (*gophercloud.ServiceClient, error) {
	auth, endpoint, tls, err := clouds.Parse(clouds.WithCloudName(cloudName), clouds.WithLocations(file))
	if err != nil {
		return nil, err
	}
	client, err := config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls))
	if err != nil {
		return nil, fmt.Errorf("log in to the cloud of %s: is its gatehouse up? %w", file, err)
	}
	return openstack.NewImageV2(client, endpoint)
}
