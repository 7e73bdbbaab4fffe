package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
)

// region is the one region of our cloud's catalog.
const region = "RegionOne"

// system is a whole running Gatehouse.
type system struct {
	data      string
	endpoints endpoints
	log       *slog.Logger
	registry  *prometheus.Registry

	gatePassword       string
	reviewURL, gateURL string // as others reach them

	// The houses stop in the opposite order of their start: a gate that
	// stops still deletes its servers, and still tells the review server.
	running []house
	closers []func() error
	lock    *os.File

	failed     chan struct{} // closed when a house fails
	failedOnce sync.Once
}

// house is a running part of the system.
type house struct {
	cancel context.CancelFunc
	wait   func() error
}

// start brings up everything on the data directory and returns once all of it
// serves. The caller must call stop. ctx carries values only; it is stop that
// ends the system.
func start(ctx context.Context, g *global, o options) (_ *system, err error) {
	s := &system{data: g.data, log: g.logger(), registry: prometheus.NewRegistry(), failed: make(chan struct{})}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	ctx = context.WithoutCancel(ctx)
	if s.lock, err = lock(s.data); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	l, err := listen(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	s.endpoints = l.endpoints()
	s.reviewURL = cmp.Or(strings.TrimSuffix(o.ReviewURL, "/"), "http://"+s.endpoints.Review)
	s.gateURL = cmp.Or(strings.TrimSuffix(o.GateURL, "/"), "http://"+s.endpoints.Gate)
	users, err := s.startCore(ctx, o, l.core)
	if err != nil {
		return nil, fmt.Errorf("start the cloud: %w", err)
	}
	if err := s.startReview(ctx, l.review, l.reviewSSH, users); err != nil {
		return nil, fmt.Errorf("start the review server: %w", err)
	}
	if err := s.startGate(ctx, o, l.gate, users); err != nil {
		return nil, fmt.Errorf("start the gate: %w", err)
	}
	if err := s.endpoints.write(s.data); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() error { return os.Remove(filepath.Join(s.data, endpointsFile)) })
	return s, nil
}

// run starts a house: its tasks run until one of them fails or stop ends them.
func (s *system) run(ctx context.Context, name string, tasks ...func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	for _, task := range tasks {
		group.Go(func() error {
			err := task(ctx)
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", name, err)
				s.failedOnce.Do(func() { close(s.failed) })
			}
			return err
		})
	}
	s.running = append(s.running, house{cancel: cancel, wait: group.Wait})
}

// wait returns when ctx ends or a house has failed, which stop then tells.
func (s *system) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.failed:
	}
}

// stop ends the houses, last started first, and lets go of the data.
func (s *system) stop() error {
	var errs []error
	for _, h := range slices.Backward(s.running) {
		h.cancel()
		errs = append(errs, h.wait())
	}
	for _, release := range slices.Backward(s.closers) {
		errs = append(errs, release())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

func (s *system) cloudsFile() string { return filepath.Join(s.data, "clouds.yaml") }
