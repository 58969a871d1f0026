package app

// What the tests of the whole daemon borrow from the demo: its world and its key.
const DemoKey = demoKey

var (
	DemoIdentities = demoIdentities
	DemoYAML       = demoYAML
)
