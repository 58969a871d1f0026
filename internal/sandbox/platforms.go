package sandbox

// newPlatforms builds every platform, by the prefix of its paths.
func newPlatforms(s *Sandbox) map[string]platform {
	return map[string]platform{
		"x":       newX(s),
		"graph":   newGraph(s),
		"reddit":  newReddit(s),
		"youtube": newYouTube(s),
	}
}
