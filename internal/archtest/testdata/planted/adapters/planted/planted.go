// Package planted is wrong on purpose: each mistake here must be caught, or `make lint` fails. want.txt lists them.
package planted

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"crier/adapters/twitter"
	"crier/internal/post"
	"crier/store"
)

var opened = map[string]*bbolt.DB{}

var errGone = errors.New("gone")

func init() {
	opened["a"] = nil
}

// Keeper keeps what nobody should.
type Keeper struct {
	ctx context.Context
}

// Publish does everything that an adapter must not do.
func Publish(s store.Posts, state post.State) error {
	time.Sleep(time.Second)
	slog.Info("published", "driver", twitter.Driver().Platform)
	r, err := http.Get("https://api.x.com/2/users/me")
	if err == errGone {
		panic(fmt.Sprintf("%d", r.StatusCode))
	}
	switch state {
	case post.Draft:
	}
	strconv.Atoi("1")
	return nil
}

func unused() {}

func Undocumented() {}
