package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/testenv/network"
)

// options is the configuration of a Gatehouse: DATA/gatehouse.yaml, then the
// flags of up.
type options struct {
	Core      string `yaml:"core"`
	Review    string `yaml:"review"`
	ReviewSSH string `yaml:"review_ssh"`
	Gate      string `yaml:"gate"`

	// Where others reach the houses, if not at their addresses: a proxy's
	// scheme, host and path, for links.
	ReviewURL string `yaml:"review_url"`
	GateURL   string `yaml:"gate_url"`

	// Acceleration of machines: auto, kvm or tcg.
	Acceleration string `yaml:"acceleration"`
	// How much of the host servers are given in all, in times of its
	// processors and of its memory: Nova's names for it.
	CPUAllocationRatio float64 `yaml:"cpu_allocation_ratio"`
	RAMAllocationRatio float64 `yaml:"ram_allocation_ratio"`
	// Nodes is how many test machines the gate uses at once.
	Nodes int `yaml:"nodes"`
	// Labels are the machines that jobs may ask for, by name, in addition to
	// those of defaults. The empty name is used by jobs that ask for none.
	Labels map[string]label `yaml:"labels"`
	// Network is what jobs may declare, besides "none" and "go".
	Network jobNetwork `yaml:"network"`
}

// jobNetwork is what the machines of jobs may be handed.
type jobNetwork struct {
	Full    bool                     `yaml:"full"` // outgoing access
	Proxies map[string]network.Proxy `yaml:"proxies"`
}

// label is a kind of test machine, in Zuul's sense: an image and a flavor.
type label struct {
	Image  string `yaml:"image"`
	Flavor string `yaml:"flavor"`
}

// The image that `gatehouse image build` makes and the flavor made for it at
// the first start.
const (
	testImage  = "gatehouse-go"
	testFlavor = "gate.small"
)

func defaults() options {
	standard := label{Image: testImage, Flavor: testFlavor}
	return options{
		Core:         "127.0.0.1:5000",
		Review:       "127.0.0.1:8080",
		ReviewSSH:    "127.0.0.1:29418",
		Gate:         "127.0.0.1:9000",
		Acceleration: "auto",
		// Test machines mostly wait; the rest of the memory is everything else's.
		CPUAllocationRatio: 4, RAMAllocationRatio: 0.75,
		Nodes:  max(2, runtime.NumCPU()),
		Labels: map[string]label{"": standard, "go": standard},
	}
}

// load reads DATA/gatehouse.yaml over o. A missing file is no error, an
// unknown key is.
func (o *options) load(data string) error {
	file := filepath.Join(data, "gatehouse.yaml")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	standard := maps.Clone(o.Labels)
	if err := yaml.UnmarshalWithOptions(text, o, yaml.Strict()); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", file, err)
	}
	maps.Copy(standard, o.Labels)
	o.Labels = standard
	return o.check(file)
}

// check refuses what no Gatehouse can run with.
func (o *options) check(file string) error {
	if o.Nodes < 1 {
		return fmt.Errorf("%s: nodes is %d: the gate needs at least one machine", file, o.Nodes)
	}
	for key, ratio := range map[string]float64{"cpu_allocation_ratio": o.CPUAllocationRatio, "ram_allocation_ratio": o.RAMAllocationRatio} {
		if !(ratio > 0) {
			return fmt.Errorf("%s: %s is %v: it must be above 0, or no server finds room", file, key, ratio)
		}
	}
	for name, l := range o.Labels {
		if l.Image == "" || l.Flavor == "" {
			return fmt.Errorf("%s: label %q needs an image and a flavor", file, name)
		}
	}
	if _, err := network.New(network.Config{Proxies: o.Network.Proxies}); err != nil {
		return fmt.Errorf("%s: network: %w", file, err)
	}
	for key, text := range map[string]string{"review_url": o.ReviewURL, "gate_url": o.GateURL} {
		if u, err := url.Parse(text); text != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Errorf("%s: %s is %q, not the address of a page, such as https://review.example.org", file, key, text)
		}
	}
	return nil
}

func upCommand(g *global) *cobra.Command {
	flags := options{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the cloud, the review server and the gate",
		Long: `Start the cloud, the review server and the gate, in the foreground.

The addresses are printed, and written to DATA/endpoints.json; a line "ready"
says that all of them serve. The first start makes the user admin with a random
password and writes DATA/clouds.yaml:

  OS_CLIENT_CONFIG_FILE=DATA/clouds.yaml openstack --os-cloud gatehouse token issue

The same name and password open the pages of review and gate. Addresses and
machines may be set in DATA/gatehouse.yaml too (see docs/operations.md); flags
win.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := defaults()
			if err := o.load(g.data); err != nil {
				return err
			}
			for flag, field := range map[string]*string{
				"core": &o.Core, "review": &o.Review, "review-ssh": &o.ReviewSSH, "gate": &o.Gate, "acceleration": &o.Acceleration,
			} {
				if cmd.Flags().Changed(flag) {
					*field = cmd.Flag(flag).Value.String()
				}
			}
			return up(cmd.Context(), g, o, cmd.OutOrStdout())
		},
	}
	d := defaults()
	f := cmd.Flags()
	f.StringVar(&flags.Core, "core", d.Core, "address of the cloud; port 0 picks a free one")
	f.StringVar(&flags.Review, "review", d.Review, "address of the review server's HTTP")
	f.StringVar(&flags.ReviewSSH, "review-ssh", d.ReviewSSH, "address of the review server's SSH")
	f.StringVar(&flags.Gate, "gate", d.Gate, "address of the gate")
	f.StringVar(&flags.Acceleration, "acceleration", d.Acceleration, "how machines run: auto, kvm or tcg")
	return cmd
}

// up runs a Gatehouse until ctx ends.
func up(ctx context.Context, g *global, o options, out io.Writer) error {
	s, err := start(ctx, g, o)
	if err != nil {
		return err
	}
	e := s.endpoints
	fmt.Fprintf(out, "cloud   http://%s  (OS_CLIENT_CONFIG_FILE=%s openstack --os-cloud gatehouse …)\n", e.Core, s.cloudsFile())
	fmt.Fprintf(out, "review  %s  ssh://%s\n", s.reviewURL, e.ReviewSSH)
	fmt.Fprintf(out, "gate    %s\n", s.gateURL)
	fmt.Fprintf(out, "log in as admin; the password stands in %s\n", s.cloudsFile())
	fmt.Fprintln(out, "ready")
	s.wait(ctx)
	return s.stop()
}
