package scheduler_test

import (
	"archive/zip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"crier/internal/civil"
	"crier/internal/post"
)

// zoneinfoEnv names a folder of zone data; with it in its environment, this test binary runs the scenario itself. Go reads that variable once in the life of
// a process.
const zoneinfoEnv = "ZONEINFO"

// zoneData gives the folder of zone data that the test may write to. Without one the test runs again in a process of
// its own that has one; the first process is told "" and has nothing left to do.
func zoneData(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(zoneinfoEnv)
	if dir == "" {
		t.Parallel()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), zoneinfoEnv+"="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	return dir
}

// TestAChangeOfZoneDataWhileCrierIsDown starts on a queue that was planned by other rules: what is due in the first
// minutes follows the new ones already.
func TestAChangeOfZoneDataWhileCrierIsDown(t *testing.T) {
	dir := zoneData(t)
	if dir == "" {
		return
	}
	const zone = "Crier/Down"
	file := filepath.Join(dir, filepath.FromSlash(zone))
	rules(t, file, "Etc/GMT-2")
	inWorld(t, func(w *world) {
		w.zonePost(zone, "soon", "2000-01-01T02:08")
		w.zonePost(zone, "overdue", "2000-01-01T02:02")
		w.pass(5 * time.Minute)
		rules(t, file, "Etc/GMT-1")
		w.ok(w.planner().Begin(w.t.Context()))
		w.start()
		w.pass(55 * time.Minute)
		if out := w.p.out(); len(out) != 0 {
			t.Errorf("%v went out by rules that hold no longer", out)
		}
		w.pass(10 * time.Minute)
		if out := w.p.out(); len(out) != 2 || out[0].Text != "overdue" || out[1].Text != "soon" {
			t.Errorf("%v are out, want both, an hour later", out)
		}
	})
}

// TestAChangeOfZoneDataBetweenPlanAndFiring gives a zone other rules while what was planned by the old ones waits. What
// was asked for as a local time goes out at that local time, once; what was asked for as an instant, at that instant.
func TestAChangeOfZoneDataBetweenPlanAndFiring(t *testing.T) {
	dir := zoneData(t)
	if dir == "" {
		return
	}
	for name, tc := range map[string]struct {
		zone, rules string        // a zone of the test's own, and whose rules it gets
		by          time.Duration // how much later the same local time comes
	}{
		"the clocks go an hour back":    {"Crier/Back", "Etc/GMT-1", time.Hour},
		"the clocks go an hour forward": {"Crier/Forward", "Etc/GMT-3", -time.Hour},
		"the rules stay":                {"Crier/Still", "Etc/GMT-2", 0},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, filepath.FromSlash(tc.zone))
			rules(t, file, "Etc/GMT-2")
			a := account("acme", post.Brand)
			a.TimeZone = tc.zone
			inWorld(t, func(w *world) {
				s := w.zoneSeries(tc.zone)
				w.ok(w.planner().Plan(w.t.Context()))
				local := w.zonePost(tc.zone, "local", "2000-01-02T12:00")
				fixed := w.zonePost(tc.zone, "fixed", "2000-01-02T11:30:00+02:00")
				moved := w.zonePost(tc.zone, "moved", "2000-01-02T08:00")
				later := w.began.Add(20 * time.Hour)
				w.change(moved, func(d *post.Delivery) error {
					zone, err := civil.LoadZone(tc.zone)
					d.LocalDue = civil.Of(later.In(zone)).String()
					return errors.Join(err, d.Reschedule(later))
				})
				w.start()
				w.pass(time.Hour)
				rules(t, file, tc.rules)
				for range 2 {
					w.ok(w.planner().Rezone(w.t.Context()))
				}
				if d := w.get(local); d.LocalDue != "2000-01-02T12:00" || !d.Due.Equal(w.began.Add(34*time.Hour+tc.by)) {
					t.Errorf("what was asked for at 12:00 local time is due %s (%s)", d.Due, d.LocalDue)
				}
				if d := w.get(fixed); !d.Due.Equal(w.began.Add(33*time.Hour + 30*time.Minute)) {
					t.Errorf("what was asked for as an instant moved to %s", d.Due)
				}
				if d := w.get(moved); !d.Due.Equal(later) {
					t.Errorf("what a person moved since has moved again, to %s", d.Due)
				}
				days(71*time.Hour, w)
				// The series runs at 09:00 by the clocks of the zone, on each of the three days once.
				want := map[string]time.Duration{
					"day 1": 7*time.Hour + tc.by, "moved": 20 * time.Hour, "day 2": 31*time.Hour + tc.by,
					"fixed": 33*time.Hour + 30*time.Minute, "local": 34*time.Hour + tc.by, "day 3": 55*time.Hour + tc.by,
				}
				out := w.p.out()
				for _, x := range out {
					if at := x.At.Truncate(time.Second); at != want[x.Text] {
						t.Errorf("%q went out after %s, want %s", x.Text, at, want[x.Text])
					}
				}
				if len(out) != len(want) {
					t.Errorf("%d are out, want %d: %v; the series has %q", len(out), len(want), out, w.runs(s))
				}
			}, a)
		})
	}
}

// rules writes the rules of a zone to a file.
func rules(t *testing.T, path, zone string) {
	t.Helper()
	archive, err := zip.OpenReader(filepath.Join(runtime.GOROOT(), "lib", "time", "zoneinfo.zip")) //nolint:staticcheck // the tests run where the tree of the toolchain is
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	f, err := archive.Open(zone)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// zoneSeries is a series that runs at nine by the clocks of a zone, three times.
func (w *world) zoneSeries(zone string) post.ID {
	w.t.Helper()
	s := w.series("1d", "once", "day 1", "day 2", "day 3")
	s.Start, s.TimeZone = "2000-01-01T09:00", zone
	s, err := w.store.EditSeries(w.t.Context(), w.by(), s, s.Version)
	w.ok(err)
	return s.ID
}

// zonePost writes a post for a time as a person would in a zone.
func (w *world) zonePost(name, text, at string) post.ID {
	w.t.Helper()
	zone, err := civil.LoadZone(name)
	w.ok(err)
	moment, err := civil.ParseAt(at, zone, w.now())
	w.ok(err)
	n := w.compose("acme", post.Content{Text: text}, moment.Time)
	n.Post.At, n.Post.TimeZone = at, name
	n.Deliveries[0].LocalDue, n.Deliveries[0].TimeZone = civil.Of(moment.Time.In(zone)).String(), name
	_, err = w.store.CreatePost(w.t.Context(), w.by(), n)
	w.ok(err)
	return n.Deliveries[0].ID
}
