package app

import (
	"context"

	"crier/internal/post"
	"crier/store"
)

// What the tests of the whole daemon borrow from the demo: its world, its keys and its files.
const (
	DemoKey    = demoKey
	DemoKeyMia = demoKeyMia
)

var (
	DemoIdentities = demoIdentities
	DemoYAML       = demoYAML
	DemoPicture    = demoPicture
	DemoFilm       = demoFilm
)

// SweepFiles is what cron does at night about files that nothing is known of.
func (a *App) SweepFiles(ctx context.Context) error { return a.sweepFiles(ctx) }

// Know writes down that a file is there.
func (a *App) Know(ctx context.Context, id string) error {
	now := post.Instant(a.opts.Now())
	_, err := a.store.PutMedia(ctx, store.Write{Now: now, Actor: "mia"}, store.Media{Media: post.Media{ID: id, Type: "image/png"}, CreatedAt: now})
	return err
}

// Nightly makes the backup that cron makes at night.
func (a *App) Nightly(ctx context.Context) error { return a.nightly(ctx) }
