package team_test

import (
	"slices"
	"testing"

	"crier/internal/post"
	"crier/internal/team"
)

// people: one person for each role in the brand acme, somebody of another brand only, the owner of the installation
// without any role, and nobody.
func directory() team.Directory {
	d := team.Directory{
		Brands: map[string]team.Brand{"acme": {Handle: "acme"}, "other": {Handle: "other"}},
		People: map[string]team.Person{
			"outsider": {Roles: map[string]team.Role{"other": team.Manager}}, "boss": {}, "nobody": {},
		},
		Owner: "boss",
	}
	for _, r := range []team.Role{team.Viewer, team.Author, team.Approver, team.Manager} {
		d.People[r.String()] = team.Person{Handle: r.String(), Roles: map[string]team.Role{"acme": r}}
	}
	return d
}

var everybody = []string{"nobody", "outsider", "viewer", "author", "approver", "manager", "boss", "", "stranger"}

// Who may do what on an account: role × kind × action × fullness of the key × allow-list.
func TestWhoMayDoWhatOnAnAccount(t *testing.T) {
	t.Parallel()
	d := directory()
	actions := map[string]func(team.Principal, post.Account) team.Answer{
		"see": d.See, "schedule": d.Schedule, "pause": d.Pause, "manage": d.Manage,
	}
	// On an account of the brand acme; whoever is not named does not know that it exists.
	brand := map[string]map[string]string{
		"see":      {"viewer": "yes", "author": "yes", "approver": "yes", "manager": "yes", "boss": "yes"},
		"schedule": {"viewer": "no", "author": "yes", "approver": "yes", "manager": "yes", "boss": "yes"},
		"pause":    {"viewer": "no", "author": "yes", "approver": "yes", "manager": "yes", "boss": "yes"},
		"manage":   {"viewer": "no", "author": "no", "approver": "no", "manager": "yes", "boss": "yes"},
	}
	for action, ask := range actions {
		for _, person := range everybody {
			for _, full := range []bool{false, true} {
				for _, list := range [][]string{nil, {"here"}, {"elsewhere"}, {"elsewhere", "here"}} {
					p := team.Principal{Person: person, Full: full, Accounts: list, Scopes: []team.Scope{team.Admin}}
					listed := len(list) == 0 || slices.Contains(list, "here")
					check := func(a post.Account, want string) {
						t.Helper()
						if want == "" || !listed {
							want = "hidden"
						}
						if got := told(ask(p, a)); got != want {
							t.Errorf("%s by %q on %s of %q, full %v, list %v: %s, want %s", action, person, a.Kind, a.Owner, full, list, got, want)
						}
					}
					check(post.Account{Handle: "here", Kind: post.Brand, Owner: "acme"}, brand[action][person])
					// A brand that nobody is in is the owner's of the installation alone.
					fallow := ""
					if person == "boss" {
						fallow = "yes"
					}
					check(post.Account{Handle: "here", Kind: post.Brand, Owner: "fallow"}, fallow)
					for _, owner := range everybody {
						own := ""
						if owner == person && person != "" && full {
							own = "yes"
						}
						check(post.Account{Handle: "here", Kind: post.Personal, Owner: owner}, own)
					}
					// A brand that is named like a person, and the other way round, opens nothing.
					check(post.Account{Handle: "here", Kind: post.Personal, Owner: "acme"}, "")
				}
			}
		}
	}
}

func told(a team.Answer) string {
	switch {
	case a.Allowed && a.Visible && a.Why == "":
		return "yes"
	case a.Visible && !a.Allowed && a.Why != "":
		return "no"
	case !a.Visible && !a.Allowed && a.Why != "":
		return "hidden"
	}
	return "an answer that contradicts itself"
}

func TestAHiddenAccountAnswersAlikeWhateverTheReason(t *testing.T) {
	t.Parallel()
	d := directory()
	personal := post.Account{Handle: "here", Kind: post.Personal, Owner: "author"}
	brand := post.Account{Handle: "here", Kind: post.Brand, Owner: "acme"}
	first := d.See(team.Principal{Person: "nobody"}, brand)
	for _, got := range []team.Answer{
		d.See(team.Principal{Person: "boss", Full: true}, personal),
		d.See(team.Principal{Person: "author"}, personal),
		d.Manage(team.Principal{Person: "manager", Accounts: []string{"x"}}, brand),
	} {
		if got != first {
			t.Errorf("%+v tells more than %+v", got, first)
		}
	}
}

func TestWhoMayStopWhat(t *testing.T) {
	t.Parallel()
	d := directory()
	for _, person := range everybody {
		for _, kind := range []post.Kind{"", post.Brand, post.Personal} {
			all, acme, unknown := "no", "hidden", "hidden"
			switch person {
			case "boss":
				all, acme = "yes", "yes"
			case "manager":
				acme = "yes"
			case "viewer", "author", "approver":
				acme = "no"
			}
			if kind == post.Personal && acme == "yes" {
				acme = "no" // a brand has no personal accounts
			}
			p := team.Principal{Person: person, Full: true}
			for brand, want := range map[string]string{"": all, "acme": acme, "fallow": unknown} {
				if got := told(d.Stop(p, kind, brand)); got != want {
					t.Errorf("%q stops kind %q of brand %q: %s, want %s", person, kind, brand, got, want)
				}
			}
		}
	}
}

func TestWhoMakesKeysForWhom(t *testing.T) {
	t.Parallel()
	d := directory()
	for _, person := range everybody {
		for _, whose := range everybody {
			for _, full := range []bool{false, true} {
				p := team.Principal{Person: person, Full: full}
				_, known := d.People[whose]
				want := "no"
				switch {
				case person == "":
					want = "no" // nobody makes nobody's key
				case person == whose:
					want = "yes"
				case person == "boss" && known:
					want = "yes"
				case person == "boss":
					want = "hidden"
				}
				if got := told(d.MakeKey(p, whose)); got != want {
					t.Errorf("%q makes a key for %q: %s, want %s", person, whose, got, want)
				}
				if got := team.FullKey(p, whose); got != (full && person == whose && person != "") {
					t.Errorf("a key that %q (full %v) makes for %q is full: %v", person, full, whose, got)
				}
			}
		}
	}
}

func TestAnInstallationWithoutOwnerIsNobodys(t *testing.T) {
	t.Parallel()
	d := directory()
	d.Owner = ""
	if got := d.Role("", "acme"); got != team.NoRole {
		t.Errorf("nobody is %s", got)
	}
	if got := told(d.Stop(team.Principal{}, "", "")); got != "no" {
		t.Errorf("nobody stops everything: %s", got)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	order := []team.Role{team.NoRole, team.Viewer, team.Author, team.Approver, team.Manager}
	if !slices.IsSorted(order) {
		t.Error("a higher role is not higher")
	}
	for _, r := range order[1:] {
		if back, ok := team.ParseRole(r.String()); !ok || back != r {
			t.Errorf("%s is read as %s, %v", r, back, ok)
		}
	}
	for _, s := range []string{"", "none", "owner", "Manager", "viewer "} {
		if r, ok := team.ParseRole(s); ok || r != team.NoRole {
			t.Errorf("%q is read as %s, %v", s, r, ok)
		}
	}
}

// Each scope against each wish.
func TestWhatAScopeContains(t *testing.T) {
	t.Parallel()
	contains := map[team.Scope][]team.Scope{
		team.PostsDraft:     {team.PostsRead},
		team.PostsWrite:     {team.PostsRead, team.PostsDraft},
		team.AccountsManage: {team.AccountsRead},
		team.Admin:          team.Scopes(),
	}
	for _, have := range team.Scopes() {
		p := team.Principal{Scopes: []team.Scope{have}}
		for _, want := range team.Scopes() {
			if got := p.Has(want); got != (have == want || slices.Contains(contains[have], want)) {
				t.Errorf("%s contains %s: %v", have, want, got)
			}
		}
		if (team.Principal{}).Has(have) {
			t.Errorf("no scope contains %s", have)
		}
	}
	if (team.Principal{Scopes: []team.Scope{"posts"}}).Has(team.PostsRead) {
		t.Error("an unknown scope contains something")
	}
}
