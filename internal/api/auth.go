package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"

	"crier/internal/secret"
	"crier/internal/team"
	"crier/store"
)

const (
	keyPrefix = "crier_"
	// minSecret is the least length of the secret of a key that somebody made up.
	minSecret = 16
	maxSecret = 256
	base62    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// ErrKeyFormat says that a text is no key of Crier.
var ErrKeyFormat = errors.New("not a key: want crier_<id>_<secret>, the id of a-z, 0-9 and -, the secret of at least 16 letters, digits, _ or -")

// NewKey draws a key. k says whose it is and what it may; id and hash are set here. The text is shown to its person
// once and kept nowhere.
func NewKey(k store.Key) (text secret.Text, made store.Key, err error) {
	var id [10]byte
	if _, err := rand.Read(id[:]); err != nil {
		return secret.Text{}, store.Key{}, fmt.Errorf("drawing a key: %w", err)
	}
	drawn := make([]byte, 43) // 43 signs of 62 hold 256 bits
	for i := range drawn {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(base62))))
		if err != nil {
			return secret.Text{}, store.Key{}, fmt.Errorf("drawing a key: %w", err)
		}
		drawn[i] = base62[n.Int64()]
	}
	k.ID = strings.ToLower(base32.StdEncoding.EncodeToString(id[:]))
	hash := sha256.Sum256(drawn)
	k.Hash = hash[:]
	return secret.New(keyPrefix + k.ID + "_" + string(drawn)), k, nil
}

// ParseConfiguredKey reads a key that the configuration gives to a person: made on the machine itself, so it is full,
// and it may all that the person may. The error is ErrKeyFormat, without the text.
func ParseConfiguredKey(text secret.Text, person string) (store.Key, error) {
	id, rest, ok := splitKey(text.Reveal())
	if !ok {
		return store.Key{}, ErrKeyFormat
	}
	hash := sha256.Sum256([]byte(rest))
	return store.Key{
		ID: id, Person: person, Name: "configuration", Hash: hash[:], Scopes: []string{string(team.Admin)},
		CreatedBy: person, Full: true,
	}, nil
}

// splitKey parts crier_<id>_<secret>.
func splitKey(s string) (id, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, keyPrefix)
	if !ok {
		return "", "", false
	}
	id, rest, ok = strings.Cut(s, "_")
	if !ok || id == "" || len(id) > 64 || len(rest) < minSecret || len(rest) > maxSecret {
		return "", "", false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return "", "", false
		}
	}
	for i := range len(rest) {
		c := rest[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return "", "", false
		}
	}
	return id, rest, true
}

// principal finds out who asks. Every refusal is the same 401, whatever was wrong with the key.
func (a *api) principal(ctx context.Context, r *http.Request, now time.Time) (team.Principal, error) {
	wrong := problem(http.StatusUnauthorized, "unauthorized", "a valid key is needed")
	wrong.Hint = "send the header Authorization: Bearer crier_<id>_<secret>"
	scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return team.Principal{}, wrong
	}
	id, rest, ok := splitKey(strings.TrimSpace(text))
	if !ok {
		return team.Principal{}, wrong
	}
	k, ok := a.keys[id]
	if !ok {
		var err error
		k, err = a.Store.KeyByID(ctx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return team.Principal{}, fmt.Errorf("reading a key: %w", err)
		}
	}
	hash := sha256.Sum256([]byte(rest))
	if subtle.ConstantTimeCompare(hash[:], k.Hash) != 1 || (!k.Expires.IsZero() && !now.Before(k.Expires)) {
		return team.Principal{}, wrong
	}
	if _, known := a.Directory.People[k.Person]; !known && k.Person != a.Directory.Owner {
		return team.Principal{}, wrong // a person who was taken out of the configuration
	}
	p := team.Principal{Person: k.Person, Key: k.ID, Accounts: k.Accounts, Full: k.Full, Expires: k.Expires}
	for _, s := range k.Scopes {
		p.Scopes = append(p.Scopes, team.Scope(s))
	}
	return p, nil
}

// digestOf names a request for its idempotency key.
func digestOf(parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(strconv.AppendInt(nil, int64(len(p)), 10))
		h.Write([]byte(":"))
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// short is the beginning of a digest, for entity tags.
func short(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
