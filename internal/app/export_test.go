package app

import "context"

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

// Nightly makes the backup that cron makes at night.
func (a *App) Nightly(ctx context.Context) error { return a.nightly(ctx) }
