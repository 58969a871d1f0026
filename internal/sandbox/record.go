package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxJournalLine bounds one act in the journal: the longest text of any platform is far below it.
const maxJournalLine = 4 << 20

// Act is one thing that an identity put on its platform.
type Act struct {
	Platform string `json:"platform"`
	Identity string `json:"identity"` // ID of the identity
	RemoteID string `json:"remote_id"`
	URL      string `json:"url,omitempty"`
	Kind     string `json:"kind"`             // post, reply, comment, video, thumbnail
	Parent   string `json:"parent,omitempty"` // remote id of what it answers or belongs to
	Text     string `json:"text,omitempty"`   // as the client sent it
	Title    string `json:"title,omitempty"`
	Link     string `json:"link,omitempty"`
	// Destination is where on the platform it went, such as a subreddit; empty when the identity is the place.
	Destination string   `json:"destination,omitempty"`
	Media       []string `json:"media,omitempty"` // lower-case hex SHA-256 of each file, in order
	// At is when it became public, or for an act that is not public when it was made.
	At      time.Time         `json:"at"`
	Public  bool              `json:"public"`
	Deleted bool              `json:"deleted,omitempty"`
	Raw     map[string]string `json:"raw,omitempty"` // whatever else the platform keeps with it
}

func (a Act) clone() Act {
	a.Media, a.Raw = slices.Clone(a.Media), maps.Clone(a.Raw)
	return a
}

// noteKind marks a line of the journal that is no act; see Sandbox.remember.
const noteKind = "note"

// Record returns every act in the order of publication, deleted ones included.
func (s *Sandbox) Record() []Act {
	return s.record.list(func(a Act, _ time.Time) bool { return a.Kind != noteKind })
}

// remember keeps what a platform must still know after a restart and what is no act: an uploaded file that no post
// uses yet, say. It is journalled like an act; a second note with the same key replaces the first.
func (s *Sandbox) remember(platform, identity, key string, raw map[string]string) error {
	a := Act{Platform: platform, Identity: identity, RemoteID: noteKind + ":" + key, Kind: noteKind, At: s.now().UTC(), Raw: raw}
	if _, known, err := s.amend(platform, a.RemoteID, func(old *Act) { *old = a.clone() }); known || err != nil {
		return err
	}
	return s.record.add(a, a.At)
}

// note is something that a platform remembers.
type note struct {
	identity, key string
	at            time.Time
	raw           map[string]string
}

// notes returns what was remembered for a platform, oldest first.
func (s *Sandbox) notes(platform string) []note {
	acts := s.record.list(func(a Act, _ time.Time) bool { return a.Platform == platform && a.Kind == noteKind })
	out := make([]note, len(acts))
	for i, a := range acts {
		out[i] = note{identity: a.Identity, key: strings.TrimPrefix(a.RemoteID, noteKind+":"), at: a.At, raw: a.Raw}
	}
	return out
}

// publish records an act at the platform's clock; when it returns nil the act is on disk. A RemoteID must be set
// and new on its platform. The context is the request's: a LateListing fault travels in it.
func (s *Sandbox) publish(ctx context.Context, a Act) (Act, error) {
	if a.Platform == "" || a.Identity == "" || a.RemoteID == "" {
		return Act{}, errors.New("sandbox: act without platform, identity or remote id")
	}
	if a.At.IsZero() {
		a.At = s.now()
	}
	a.At = a.At.UTC()
	if err := s.record.add(a, a.At.Add(s.delay+listingDelay(ctx))); err != nil {
		return Act{}, err
	}
	s.log.InfoContext(ctx, "published", "platform", a.Platform, "identity", a.Identity, "kind", a.Kind, "remote_id", a.RemoteID, "url", a.URL)
	return a, nil
}

// amend changes an act that is already recorded, journalled like publish. The change must keep platform, identity
// and remote id. It reports false when there is no such act.
func (s *Sandbox) amend(platform, remoteID string, change func(*Act)) (Act, bool, error) {
	return s.record.amend(platform, remoteID, change)
}

// find returns one act that is not deleted, whether or not listings show it already.
func (s *Sandbox) find(platform, remoteID string) (Act, bool) {
	a, ok := s.record.get(platform, remoteID)
	return a, ok && !a.Deleted
}

// listed returns the acts of one identity that listings show at this moment, oldest first. An empty identity means
// all of the platform.
func (s *Sandbox) listed(platform, identity string) []Act {
	now := s.now()
	return s.record.list(func(a Act, visible time.Time) bool {
		return a.Platform == platform && (identity == "" || a.Identity == identity) && a.Kind != noteKind && !a.Deleted && !visible.After(now)
	})
}

// record is the memory of all acts and its file.
type record struct {
	mu      sync.Mutex
	acts    []Act
	visible []time.Time // from when acts[i] shows in listings
	index   map[[2]string]int
	file    *os.File // nil without a journal
	broken  error    // set when the journal could not be brought back to a whole line
}

// openRecord reads the journal, which may end in a line that was cut off by a crash: such a line was never
// acknowledged, and is dropped.
func openRecord(name string) (*record, error) {
	r := &record{index: make(map[[2]string]int)}
	if name == "" {
		return r, nil
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("open sandbox journal: %w", err)
	}
	whole, err := r.load(f)
	if err == nil {
		err = f.Truncate(whole)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read sandbox journal %s: %w", name, err), f.Close())
	}
	r.file = f
	return r, nil
}

// load reads all whole lines and returns where they end.
func (r *record) load(f io.Reader) (whole int64, err error) {
	lines := bufio.NewReaderSize(f, 64<<10)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		if len(line) > maxJournalLine {
			return 0, fmt.Errorf("line %d is longer than %d bytes", n, maxJournalLine)
		}
		whole += int64(len(line))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var a Act
		if err := json.Unmarshal(line, &a); err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		r.put(a, a.At)
	}
}

func (r *record) add(a Act, visible time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, dup := r.index[[2]string{a.Platform, a.RemoteID}]; dup {
		return fmt.Errorf("sandbox: %s %s is recorded already", a.Platform, a.RemoteID)
	}
	if err := r.write(a); err != nil {
		return err
	}
	r.put(a.clone(), visible)
	return nil
}

func (r *record) amend(platform, remoteID string, change func(*Act)) (Act, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.index[[2]string{platform, remoteID}]
	if !ok {
		return Act{}, false, nil
	}
	a := r.acts[i].clone()
	change(&a)
	if err := r.write(a); err != nil {
		return Act{}, true, err
	}
	r.acts[i] = a
	return a.clone(), true, nil
}

// put adds an act, or replaces the one with its id: in the journal the latest line of an id holds.
func (r *record) put(a Act, visible time.Time) {
	key := [2]string{a.Platform, a.RemoteID}
	if i, ok := r.index[key]; ok {
		r.acts[i] = a
		return
	}
	r.index[key] = len(r.acts)
	r.acts = append(r.acts, a)
	r.visible = append(r.visible, visible)
}

// write appends one line and syncs it. After a failure the line is cut away again, so that an act that was refused
// does not come back at the next start.
func (r *record) write(a Act) error {
	if r.broken != nil {
		return r.broken
	}
	if r.file == nil {
		return nil
	}
	line, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("write sandbox journal: %w", err)
	}
	end, err := r.file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = r.file.Write(append(line, '\n'))
	}
	if err == nil {
		err = r.file.Sync()
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write sandbox journal: %w", err)
	if cut := r.file.Truncate(end); cut != nil {
		r.broken = errors.Join(err, cut)
	}
	return err
}

func (r *record) get(platform, remoteID string) (Act, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.index[[2]string{platform, remoteID}]
	if !ok {
		return Act{}, false
	}
	return r.acts[i].clone(), true
}

func (r *record) list(keep func(a Act, visible time.Time) bool) []Act {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Act
	for i, a := range r.acts {
		if keep(a, r.visible[i]) {
			out = append(out, a.clone())
		}
	}
	return out
}

func (r *record) reset() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acts, r.visible, r.index = nil, nil, make(map[[2]string]int)
	if r.file == nil {
		return nil
	}
	if err := errors.Join(r.file.Truncate(0), r.file.Sync()); err != nil {
		return fmt.Errorf("empty sandbox journal: %w", err)
	}
	return nil
}

func (r *record) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file, r.broken = nil, errors.New("write sandbox journal: the sandbox is closed")
	if err := f.Close(); err != nil {
		return fmt.Errorf("close sandbox journal: %w", err)
	}
	return nil
}
