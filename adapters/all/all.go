// Package all lists the drivers that are built in. It is the one place that names them.
package all

import (
	"crier/adapters"
	"crier/adapters/facebook"
	"crier/adapters/reddit"
	"crier/adapters/twitter"
	"crier/adapters/youtube"
)

// Drivers gives a fresh list of every driver, in the order in which people see the platforms.
func Drivers() []adapters.Driver {
	return []adapters.Driver{twitter.Driver(), facebook.Driver(), reddit.Driver(), youtube.Driver()}
}
