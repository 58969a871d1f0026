package app

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
