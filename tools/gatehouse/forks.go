package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/gatehouse-dev/gatehouse/testenv/image"
	"github.com/gatehouse-dev/gatehouse/testenv/node"
)

// machines takes test machines of one image from the cloud of a clouds.yaml.
func machines(file, imageName string) (*node.Provider, error) {
	return node.New(node.Config{
		CloudsFile: file, Cloud: cloudName, Instance: uuid.NewString()[:8],
		Labels: map[string]node.Label{"": {Image: imageName, Flavor: testFlavor}},
		Log:    slog.New(slog.DiscardHandler),
	})
}

// firstOutput makes a machine, has it print something, deletes it, and says
// how long it took from the request for the machine to what it printed.
func firstOutput(ctx context.Context, p *node.Provider) (took time.Duration, err error) {
	began := time.Now()
	n, err := p.Launch(ctx, node.Request{Build: uuid.NewString()})
	if err != nil {
		return 0, err
	}
	exit, err := n.Run(ctx, node.Step{Script: "uname -a"}, io.Discard)
	took = time.Since(began)
	if err == nil && exit != 0 {
		err = fmt.Errorf("uname ended with status %d", exit)
	}
	return took, errors.Join(err, n.Close(ctx))
}

// makeTemplate has the cloud make its template of an image, so that already
// the first job finds it. A cloud without our flavor makes it when it is needed.
func makeTemplate(ctx context.Context, file, imageName string, say func(string, ...any)) (err error) {
	p, err := machines(file, imageName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	say("make the template that machines of %s are forked from: boot it, warm it up …", imageName)
	took, err := firstOutput(ctx, p)
	if missing, ok := errors.AsType[*node.MissingError](err); ok {
		say("  not made yet: %v", missing)
		return nil
	}
	if err != nil {
		return fmt.Errorf("first machine of %s: %w", imageName, err)
	}
	say("  a first machine has answered after %.1f s", took.Seconds())
	return nil
}

// compareForks shows what forking saves: a machine of the test image booted,
// then forked.
func compareForks(ctx context.Context, file string, say func(string, ...any)) (err error) {
	p, err := machines(file, testImage)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	if err := setFork(ctx, file, "false"); err != nil {
		return err
	}
	booted, err := firstOutput(ctx, p)
	if err := errors.Join(err, setFork(context.WithoutCancel(ctx), file, "true")); err != nil {
		return err
	}
	const times = 3
	forked := make([]any, times)
	for i := range forked {
		took, err := firstOutput(ctx, p)
		if err != nil {
			return err
		}
		forked[i] = took.Seconds()
	}
	say("a machine, from the request to a command's output: booted %.1f s", booted.Seconds())
	say("the same, forked from the template: %.2f s, %.2f s, %.2f s", forked...)
	return nil
}

// setFork says whether machines of the test image are to be forked.
func setFork(ctx context.Context, file, value string) error {
	c, err := imageClient(ctx, file)
	if err != nil {
		return err
	}
	pages, err := images.List(c, images.ListOpts{Name: testImage, Status: images.ImageStatusActive}).AllPages(ctx)
	if err != nil {
		return err
	}
	found, err := images.ExtractImages(pages)
	if err != nil {
		return err
	}
	for _, i := range found {
		property := images.UpdateImageProperty{Op: images.ReplaceOp, Name: image.ForkProperty, Value: value}
		if err := images.Update(ctx, c, i.ID, images.UpdateOpts{property}).Err; err != nil {
			return err
		}
	}
	return nil
}
