package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func demoCommand(g *global) *cobra.Command {
	build := imageFlags{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole story on a real module: push, test in machines, review, merge",
		Long: `Start a Gatehouse of its own on free ports and show the whole story on a real
Go module: a change that breaks a test, one that lint rejects, one that is right;
each tested in machines of the cloud, then reviewed, gated and merged.

On a terminal it keeps serving afterwards, until ctrl-C, so that you can look
around. Elsewhere it ends after the last step. Its data directory, by default
in the cache directory, is kept: the next run adds a project to it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("data") {
				g.data = filepath.Join(defaultCache(), "demo")
			}
			return demo(cmd.Context(), g, build, cmd.OutOrStdout())
		},
	}
	build.register(cmd.Flags())
	return cmd
}

func demo(ctx context.Context, g *global, build imageFlags, out io.Writer) (err error) {
	d := &teller{out: out, start: time.Now(), colour: isTerminal(out)}
	o := defaults()
	for _, address := range []*string{&o.Core, &o.Review, &o.ReviewSSH, &o.Gate} {
		*address = "127.0.0.1:0"
	}
	if err := os.MkdirAll(g.data, 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(g.data, "demo.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	g.log = log
	s, err := start(ctx, g, o)
	if err != nil {
		return err
	}
	defer func() {
		if stopped := s.stop(); err == nil {
			err = stopped
		}
	}()
	d.say("cloud, review server and gate are up")
	if err := buildAndRegister(ctx, build, defaultRecipe, s.cloudsFile(), d.say); err != nil {
		return fmt.Errorf("test image: %w", err)
	}
	if err := compareForks(ctx, s.cloudsFile(), d.say); err != nil {
		return fmt.Errorf("compare a machine that is booted with forked ones: %w", err)
	}
	if err := d.tell(ctx, s); err != nil {
		return fmt.Errorf("%w\nthe log is %s", err, log.Name())
	}
	if !isTerminal(out) {
		return nil
	}
	fmt.Fprintln(out, "Serving until ctrl-C.")
	s.wait(ctx)
	return nil
}

// tell tells the story in a fresh project, and where to look afterwards.
func (d *teller) tell(ctx context.Context, s *system) error {
	c, err := readClouds(s.cloudsFile())
	if err != nil {
		return err
	}
	login := c.Clouds[cloudName].Auth
	project, dir, err := freshProject(s.data)
	if err != nil {
		return err
	}
	tale := &story{
		review: s.endpoints.Review, gate: s.endpoints.Gate, user: login.Username, password: login.Password,
		project: project, dir: dir, say: d.say,
	}
	if err := tale.tell(ctx); err != nil {
		return err
	}
	d.say("done")
	fmt.Fprintf(d.out, `
  change     http://%s/c/%s/+/%d
  review     http://%s
  gate       http://%s
  cloud      OS_CLIENT_CONFIG_FILE=%s openstack --os-cloud %s server list
  work tree  %s
  log in     admin, password %s

`, s.endpoints.Review, project, tale.change, s.endpoints.Review, s.endpoints.Gate, s.cloudsFile(), cloudName, dir, login.Password)
	return nil
}

// freshProject picks the first project name that no earlier demo took, and
// makes its work tree's directory.
func freshProject(data string) (name, dir string, err error) {
	if err := os.MkdirAll(filepath.Join(data, "demo"), 0o700); err != nil {
		return "", "", err
	}
	for n := 1; ; n++ {
		name = fmt.Sprintf("uuid-%d", n)
		dir = filepath.Join(data, "demo", name)
		err = os.Mkdir(dir, 0o700)
		if !os.IsExist(err) {
			return name, dir, err
		}
	}
}

// teller prints each step of the demo with the time since its start.
type teller struct {
	out    io.Writer
	start  time.Time
	colour bool
}

func (d *teller) say(format string, args ...any) {
	first, rest, more := strings.Cut(fmt.Sprintf(format, args...), "\n")
	clock := fmt.Sprintf("[%6.1fs]", time.Since(d.start).Seconds())
	if d.colour {
		clock = "\x1b[36m" + clock + "\x1b[0m"
	}
	fmt.Fprintln(d.out, clock, first)
	if more {
		fmt.Fprintln(d.out, rest)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
