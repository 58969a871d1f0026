package sandbox

import (
	"fmt"
	"maps"
)

// Identity is one login that exists on one platform.
type Identity struct {
	// Platform is twitter, facebook, reddit or youtube.
	Platform string `json:"platform"`
	// ID is what the platform knows it by: X's numeric user id, the page id, "t2_…", the channel id.
	ID string `json:"id"`
	// Name is X's screen name without @, the page's name, Reddit's user name, the channel's title.
	Name string `json:"name"`
	// Credentials are what must be shown to act as it.
	//
	//	twitter   consumer_key consumer_secret access_token access_secret; v1.1=true lets it use API v1.1
	//	facebook  page_token; optional app_id app_secret
	//	reddit    client_id client_secret refresh_token; rotate=true makes refresh tokens single use
	//	youtube   client_id client_secret refresh_token; unaudited=true locks every video as private, quota_inserts,
	//	          quota_units and upload_limit replace the usual budgets
	Credentials map[string]string `json:"-"`
}

// String names the identity without its credentials.
func (i Identity) String() string { return i.Platform + " " + i.ID + " (" + i.Name + ")" }

// identities returns those of one platform, in the order of the configuration.
func (s *Sandbox) identities(platform string) []Identity {
	var out []Identity
	for _, i := range s.people {
		if i.Platform == platform {
			out = append(out, i)
		}
	}
	return out
}

// checkIdentities refuses identities that could be taken for one another.
func checkIdentities(list []Identity) error {
	secrets := map[string][]string{
		"twitter":  {"consumer_key", "consumer_secret", "access_token", "access_secret"},
		"facebook": {"page_token"},
		"reddit":   {"client_id", "client_secret", "refresh_token"},
		"youtube":  {"client_id", "client_secret", "refresh_token"},
	}
	unique := map[string]string{"twitter": "access_token", "facebook": "page_token", "reddit": "refresh_token", "youtube": "refresh_token"}
	seen := make(map[[2]string]bool)
	tokens := make(map[[2]string]bool)
	for _, i := range list {
		want, ok := secrets[i.Platform]
		if !ok {
			return fmt.Errorf("sandbox: identity %s: unknown platform", i)
		}
		if i.ID == "" || i.Name == "" {
			return fmt.Errorf("sandbox: identity %s: id and name are needed", i)
		}
		for _, k := range want {
			if i.Credentials[k] == "" {
				return fmt.Errorf("sandbox: identity %s: credential %s is missing", i, k)
			}
		}
		key, token := [2]string{i.Platform, i.ID}, [2]string{i.Platform, i.Credentials[unique[i.Platform]]}
		if seen[key] || tokens[token] {
			return fmt.Errorf("sandbox: identity %s: its id or token is another's too", i)
		}
		seen[key], tokens[token] = true, true
	}
	return nil
}

func cloneIdentities(list []Identity) []Identity {
	out := make([]Identity, len(list))
	for n, i := range list {
		i.Credentials = maps.Clone(i.Credentials)
		out[n] = i
	}
	return out
}
