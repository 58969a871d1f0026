package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"crier/internal/post"
	"crier/store"
)

// accountRecord is an account on disk.
type accountRecord struct {
	Account post.Account `json:"account"`
	Pinned  string       `json:"pinned,omitempty"`
	Version uint64       `json:"version"`
}

// SyncAccounts makes the accounts managed by the configuration equal to those given.
func (s *Store) SyncAccounts(ctx context.Context, w store.Write, accounts []post.Account) error {
	now := post.Instant(w.Now)
	return s.write(ctx, now, func(t *tx) error {
		if err := t.checkAccounts(accounts); err != nil {
			return err
		}
		given := make(map[post.AccountKey]bool, len(accounts))
		for _, a := range accounts {
			given[a.Key()] = true
			if err := t.putAccount(w, now, a); err != nil {
				return err
			}
		}
		return t.removeOthers(w, now, given)
	})
}

// checkAccounts refuses what may never change, before anything is written.
func (t *tx) checkAccounts(accounts []post.Account) error {
	names := map[string]bool{}
	for _, a := range accounts {
		if !post.ValidHandle(a.Handle) || !a.Kind.Valid() {
			return fmt.Errorf("account %q: its handle or kind is not valid", a.Handle)
		}
		if names[a.Handle] {
			return fmt.Errorf("account %s is given twice", a.Handle)
		}
		names[a.Handle] = true
		old, err := t.accountByHandle(a.Handle)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		was := old.Account
		if was.Kind != a.Kind || was.Platform != a.Platform || was.Owner != a.Owner {
			return fmt.Errorf("account %s: kind, platform and owner never change: it is %s on %s of %s, not %s on %s of %s",
				a.Handle, was.Kind, was.Platform, was.Owner, a.Kind, a.Platform, a.Owner)
		}
	}
	return nil
}

func (t *tx) accountByHandle(handle string) (accountRecord, error) {
	var r accountRecord
	key := t.get(bName, []byte(handle))
	if key == nil {
		return r, fmt.Errorf("account %s: %w", handle, store.ErrNotFound)
	}
	return r, t.getJSON(bAccount, key, &r)
}

// putAccount writes a new or changed account, and ends the hold of one that came back.
func (t *tx) putAccount(w store.Write, now time.Time, a post.Account) error {
	key := accountKey(a.Key())
	var r accountRecord
	err := t.getJSON(bAccount, key, &r)
	isNew := errors.Is(err, store.ErrNotFound)
	if err != nil && !isNew {
		return err
	}
	l, err := t.lane(a.Key())
	if err != nil {
		return err
	}
	back := l.known && l.dropHold(post.HoldRemoved, now)
	changed := isNew || !reflect.DeepEqual(r.Account, a)
	if !changed && !back && l.known {
		return nil
	}
	if changed {
		if err := t.moveApp(r.Account.App, a.App, a.Key()); err != nil {
			return err
		}
		r.Account = a
	}
	r.Version++
	if err := errors.Join(t.putJSON(bAccount, key, r), t.put(bName, []byte(a.Handle), key)); err != nil {
		return err
	}
	l.known, l.assist, l.owner, l.app = true, a.Mode == post.ModeAssist, a.Owner, a.App
	l.minGap, l.maxLate, l.dirty = a.MinGap, a.MaxLate, true
	verb := "account.changed"
	if isNew {
		verb = "account.added"
	}
	return t.change(&post.Change{At: now, Actor: w.Actor, Type: verb, Account: a.Key().String()})
}

func (t *tx) moveApp(before, after string, key post.AccountKey) error {
	var was, is []byte
	if before != "" {
		was = addAccount(pairKey(before, ""), key)
	}
	if after != "" {
		is = addAccount(pairKey(after, ""), key)
	}
	return t.toggle(bApp, was, is)
}

// removeOthers holds the configured accounts that are not given any more.
func (t *tx) removeOthers(w store.Write, now time.Time, given map[post.AccountKey]bool) error {
	var gone []post.AccountKey
	err := t.scan(bAccount, nil, func(k, v []byte) (bool, error) {
		key, ok := cutAccount(k)
		if !ok {
			return false, corrupt(bAccount, k, errShort)
		}
		if given[key] {
			return true, nil
		}
		var r accountRecord
		if err := json.Unmarshal(v, &r); err != nil {
			return false, corrupt(bAccount, k, err)
		}
		if r.Account.Managed != managedByAPI {
			gone = append(gone, key)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, key := range gone {
		l, err := t.lane(key)
		if err != nil {
			return err
		}
		if hasHold(l, post.HoldRemoved) {
			continue
		}
		l.setHold(post.Hold{Reason: post.HoldRemoved, Since: now, Detail: "it is gone from the configuration"}, now)
		c := post.Change{At: now, Actor: w.Actor, Type: "account.removed", Account: key.String()}
		if err := t.change(&c); err != nil {
			return err
		}
	}
	return nil
}

const managedByAPI = "api"

func hasHold(l *lane, reason post.HoldReason) bool {
	for _, h := range l.holds {
		if h.Reason == reason {
			return true
		}
	}
	return false
}

func (t *tx) accountView(r accountRecord) (store.AccountView, error) {
	l, err := decodeLane(r.Account.Key(), t.get(bLaneState, accountKey(r.Account.Key())), nil)
	if err != nil {
		return store.AccountView{}, err
	}
	return store.AccountView{
		Account: r.Account, Holds: l.view(), Pinned: r.Pinned, Version: r.Version + l.rev, LastSent: l.lastSent,
	}, nil
}

// AccountByHandle gives one account.
func (s *Store) AccountByHandle(ctx context.Context, handle string) (v store.AccountView, err error) {
	err = s.read(ctx, func(t *tx) error {
		r, err := t.accountByHandle(handle)
		if err != nil {
			return err
		}
		v, err = t.accountView(r)
		return err
	})
	return v, err
}

// ListAccounts gives all accounts by handle. What an account refers to is shared with other callers.
func (s *Store) ListAccounts(ctx context.Context) (views []store.AccountView, err error) {
	err = s.read(ctx, func(t *tx) error {
		views = nil
		return t.scan(bName, nil, func(_, key []byte) (bool, error) {
			r, err := s.accounts.get(t, bAccount, key)
			if err != nil {
				return false, err
			}
			v, err := t.accountView(r)
			views = append(views, v)
			return err == nil, err
		})
	})
	return views, err
}

// PinIdentity remembers the platform's unchanging number of an account.
func (s *Store) PinIdentity(ctx context.Context, w store.Write, account post.AccountKey, remote string) error {
	now := post.Instant(w.Now)
	return s.write(ctx, now, func(t *tx) error {
		var r accountRecord
		key := accountKey(account)
		if err := t.getJSON(bAccount, key, &r); err != nil {
			return fmt.Errorf("account %s: %w", account, err)
		}
		unique := receiptKey(r.Account.Platform, remote)
		holder := t.get(bIdentity, unique)
		if (r.Pinned != "" && r.Pinned != remote) || (holder != nil && !bytes.Equal(holder, key)) {
			return store.ErrIdentityTaken
		}
		if r.Pinned == remote {
			return nil
		}
		r.Pinned = remote
		r.Version++
		return errors.Join(t.putJSON(bAccount, key, r), t.put(bIdentity, unique, key),
			t.change(&post.Change{At: now, Actor: w.Actor, Type: "account.verified", Account: account.String()}))
	})
}

// Token gives an account's sealed tokens.
func (s *Store) Token(ctx context.Context, account post.AccountKey) (sealed []byte, seed string, err error) {
	err = s.read(ctx, func(t *tx) error {
		sealed, seed, err = t.token(account)
		return err
	})
	return sealed, seed, err
}

func (t *tx) token(account post.AccountKey) (sealed []byte, seed string, err error) {
	b := t.get(bToken, accountKey(account))
	if b == nil {
		return nil, "", fmt.Errorf("token of %s: %w", account, store.ErrNotFound)
	}
	r := decoder{b: b}
	seed = r.text()
	sealed = append([]byte{}, r.take(r.uint())...)
	if err := r.err(); err != nil {
		return nil, "", corrupt(bToken, accountKey(account), err)
	}
	return sealed, seed, nil
}

// SwapToken stores sealed tokens if what is stored still equals old.
func (s *Store) SwapToken(ctx context.Context, account post.AccountKey, old, sealed []byte, seed string) error {
	return s.write(ctx, time.Time{}, func(t *tx) error {
		stored, _, err := t.token(account)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if (old == nil) != (stored == nil) || !bytes.Equal(stored, old) {
			return fmt.Errorf("token of %s: %w", account, store.ErrStale)
		}
		var e encoder
		e.text(seed)
		e.bytes(sealed)
		return t.put(bToken, accountKey(account), e.b)
	})
}
