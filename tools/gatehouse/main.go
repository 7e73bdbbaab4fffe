// Command gatehouse is a project's whole development infrastructure in one
// binary: a cloud that speaks the OpenStack APIs, a code-review server that
// speaks Gerrit's protocols, and a gate that tests each change in machines of
// that cloud and merges what passes.
//
// This package is the only place that reads flags, environment and
// configuration, and the only one that knows all of the houses: it chooses
// their drivers and wires them together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second ctrl-C does not wait for a clean end
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "gatehouse:", err)
		os.Exit(1)
	}
}

// global holds the flags that all commands share.
type global struct {
	data     string
	logLevel slog.Level
	log      io.Writer // nil: stderr
}

func command() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "A cloud, code review and a gate in one binary",
		Long: `Gatehouse is a project's whole development infrastructure in one binary:
a cloud that speaks the OpenStack APIs, a code-review server that speaks
Gerrit's protocols, and a gate that tests each change in machines of that cloud
and merges what passes.

Start with:  gatehouse up`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVar(&g.data, "data", "", "data directory: the whole state (default $GATEHOUSE_DATA, else $XDG_DATA_HOME/gatehouse)")
	flags.TextVar(&g.logLevel, "log-level", slog.LevelInfo, "least level that is logged: debug, info, warn or error")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if g.data == "" {
			g.data = defaultData()
		}
		absolute, err := filepath.Abs(g.data)
		g.data = absolute
		return err
	}
	root.AddCommand(upCommand(g), imageCommand(g), demoCommand(g))
	return root
}

// defaultData is the data directory where no flag names one.
func defaultData() string {
	if dir := os.Getenv("GATEHOUSE_DATA"); dir != "" {
		return dir
	}
	return filepath.Join(xdg("XDG_DATA_HOME", ".local/share"), "gatehouse")
}

// defaultCache is where what can be made again is kept: images, layers.
func defaultCache() string {
	return filepath.Join(xdg("XDG_CACHE_HOME", ".cache"), "gatehouse")
}

// xdg is a base directory of the XDG specification.
func xdg(variable, fallback string) string {
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = string(filepath.Separator)
	}
	return filepath.Join(home, fallback)
}

// logger writes for people, to stderr unless log names another place.
func (g *global) logger() *slog.Logger {
	out := g.log
	if out == nil {
		out = os.Stderr
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: g.logLevel}))
}
