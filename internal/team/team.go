// Package team says who may do what: roles in brands, ownership of personal accounts, and what a key may at most.
// Its functions are pure and take their facts as arguments; they are asked at the request and again inside the
// transaction that claims a delivery.
package team

import (
	"slices"
	"time"

	"crier/internal/post"
)

// Role is what a person is in a brand. A higher role may all that a lower one may.
type Role int

// The roles, lowest first. The zero value is no role.
const (
	NoRole Role = iota
	Viewer
	Author
	Approver
	Manager
)

// ParseRole reads a role's name.
func ParseRole(s string) (Role, bool) {
	i := slices.Index([]string{"viewer", "author", "approver", "manager"}, s)
	return Role(i + 1), i >= 0
}

// String gives the role's name.
func (r Role) String() string {
	switch r {
	case Viewer:
		return "viewer"
	case Author:
		return "author"
	case Approver:
		return "approver"
	case Manager:
		return "manager"
	case NoRole:
	}
	return "none"
}

// Brand is a brand that people work for.
type Brand struct{ Handle, Name string }

// Person is somebody who works with Crier.
type Person struct {
	Handle, Name string
	Roles        map[string]Role // by brand
}

// Directory is everybody. It is read only.
type Directory struct {
	Brands map[string]Brand
	People map[string]Person
	// Owner is the person who owns the installation.
	Owner string
}

// Scope limits what a key may do of what its person may.
type Scope string

// The scopes. Admin contains all others.
const (
	PostsRead      Scope = "posts:read"
	PostsDraft     Scope = "posts:draft"
	PostsWrite     Scope = "posts:write"
	PostsApprove   Scope = "posts:approve"
	MediaWrite     Scope = "media:write"
	AccountsRead   Scope = "accounts:read"
	AccountsManage Scope = "accounts:manage"
	WebhooksManage Scope = "webhooks:manage"
	Admin          Scope = "admin"
)

// Scopes lists every scope.
func Scopes() []Scope {
	return []Scope{
		PostsRead, PostsDraft, PostsWrite, PostsApprove, MediaWrite, AccountsRead, AccountsManage, WebhooksManage, Admin,
	}
}

// Principal is who asks: a person through one key.
type Principal struct {
	Person string
	Key    string
	Scopes []Scope
	// Accounts is the key's allow-list; empty allows all that the person may use.
	Accounts []string
	// Full says that the person made the key, or that it was made on the machine itself. Only such a key reaches
	// the person's personal accounts.
	Full bool
	// Expires is when the key ends; zero for never.
	Expires time.Time
}

// Has reports whether the key has a scope. Writing contains drafting, and drafting or writing contains reading.
func (p Principal) Has(want Scope) bool {
	if slices.Contains(p.Scopes, Admin) || slices.Contains(p.Scopes, want) {
		return true
	}
	switch want {
	case PostsRead:
		return p.Has(PostsDraft)
	case PostsDraft:
		return slices.Contains(p.Scopes, PostsWrite)
	case AccountsRead:
		return slices.Contains(p.Scopes, AccountsManage)
	case PostsWrite, PostsApprove, MediaWrite, AccountsManage, WebhooksManage, Admin:
	}
	return false
}

// Answer says whether something may be done, and if not, why.
type Answer struct {
	// Visible says whether the asker may know that the thing exists at all; if not, it is not there.
	Visible bool
	Allowed bool
	Why     string
}

func yes() Answer                            { return Answer{Visible: true, Allowed: true} }
func no(why string) Answer                   { return Answer{Visible: true, Why: why} }
func hidden() Answer                         { return Answer{Why: "there is no such account"} }
func (a Answer) ok() bool                    { return a.Visible && a.Allowed }
func (d Directory) isOwner(p Principal) bool { return d.Owner != "" && p.Person == d.Owner }

// Role gives what a person is in a brand. The owner of the installation is a manager everywhere.
func (d Directory) Role(person, brand string) Role {
	if person != "" && person == d.Owner {
		return Manager
	}
	return d.People[person].Roles[brand]
}

// See says whether the principal may see an account and what belongs to it. A personal account is there for its
// owner's full keys alone.
func (d Directory) See(p Principal, a post.Account) Answer {
	if len(p.Accounts) > 0 && !slices.Contains(p.Accounts, a.Handle) {
		return hidden()
	}
	if a.Kind == post.Personal {
		if a.Owner != p.Person || p.Person == "" || !p.Full {
			return hidden()
		}
		return yes()
	}
	if d.Role(p.Person, a.Owner) < Viewer {
		return hidden()
	}
	return yes()
}

// Schedule says whether the principal may put posts into an account's queue, change them and withdraw them.
func (d Directory) Schedule(p Principal, a post.Account) Answer {
	return d.withRole(p, a, Author, "scheduling on this account takes the role author of its brand")
}

// Pause says whether the principal may pause and resume an account: who may schedule on it.
func (d Directory) Pause(p Principal, a post.Account) Answer {
	return d.withRole(p, a, Author, "pausing this account takes the role author of its brand")
}

// Manage says whether the principal may verify and reconnect an account.
func (d Directory) Manage(p Principal, a post.Account) Answer {
	return d.withRole(p, a, Manager, "managing this account takes the role manager of its brand")
}

func (d Directory) withRole(p Principal, a post.Account, least Role, why string) Answer {
	see := d.See(p, a)
	switch {
	case !see.ok():
		return see
	case a.Kind == post.Personal:
		return yes() // its owner, as See has made sure
	case d.Role(p.Person, a.Owner) < least:
		return no(why)
	}
	return yes()
}

// Stop says whether the principal may stop and resume everything, one kind or one brand. A brand is stopped by its
// managers, all else by the owner of the installation.
func (d Directory) Stop(p Principal, kind post.Kind, brand string) Answer {
	if brand != "" {
		if _, known := d.Brands[brand]; !known || d.Role(p.Person, brand) < Viewer {
			return Answer{Why: "there is no such brand"}
		}
		if d.Role(p.Person, brand) < Manager || kind == post.Personal {
			return no("stopping a brand takes its role manager")
		}
		return yes()
	}
	if !d.isOwner(p) {
		return no("stopping everything is for the owner of the installation")
	}
	return yes()
}

// MakeKey says whether the principal may make a key for a person: their own, or as the owner for others. Whether
// the key is full is for FullKey to say.
func (d Directory) MakeKey(p Principal, person string) Answer {
	if person == p.Person && person != "" {
		return yes()
	}
	if !d.isOwner(p) {
		return no("making another person's key is for the owner of the installation")
	}
	if _, known := d.People[person]; !known {
		return Answer{Why: "there is no such person"}
	}
	return yes()
}

// FullKey reports whether a key that the principal makes for a person reaches that person's personal accounts: only
// one's own full key makes another.
func FullKey(p Principal, person string) bool { return p.Full && person != "" && p.Person == person }
