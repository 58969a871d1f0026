package app_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"crier/internal/app"
	"crier/store/bolt"
)

// oldFiles is the data folder of an earlier Crier, which store/bolt keeps for its own tests.
const oldFiles = "../../store/bolt/testdata"

// migration starts the daemon on a data folder of an earlier schema and kills it while it brings the file forward; the
// next start does the rest, and everything is there. These posts have platforms that cannot be reached, so that nothing
// of a day long ago goes out.
func (s *siege) migration() {
	s.t.Helper()
	s.fell() // there is no need for two daemons at a time
	const tries = 5
	for try := range tries {
		dir := filepath.Join(s.dir, fmt.Sprintf("old-%d-%d", s.round, try))
		s.layOut(filepath.Join(dir, "data"))
		config := writeConfig(s.t, dir, "http://127.0.0.1:9", "")
		stop := s.killWhen(config, filepath.Join(dir, "data", bolt.FileName+[]string{".schema-1.tmp", ".schema-1"}[s.lot.IntN(2)]))
		p := startOrdered(s.t, orders{Config: config, Looks: crashLooks(), Grace: time.Second})
		s.everythingOld(p)
		p.stop(s.t)
		s.fsck(filepath.Join(dir, "data", bolt.FileName))
		s.fsck(filepath.Join(dir, "data", bolt.FileName+".schema-1"))
		if stop {
			s.count(inMigration)
			break
		}
	}
	s.running()
}

// layOut makes the data folder of an earlier Crier.
func (s *siege) layOut(data string) {
	s.t.Helper()
	packed, err := os.ReadFile(filepath.Join(oldFiles, "schema-1.db.gz"))
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		s.t.Fatal(err)
	}
	db, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatal(err)
	}
	note, err := os.ReadFile(filepath.Join(oldFiles, "schema-1.db.marker"))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		s.t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		bolt.FileName: db, bolt.FileName + ".marker": note, "master.key": []byte(strings.Repeat("5a", 32)),
	} {
		if err := os.WriteFile(filepath.Join(data, name), b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// killWhen starts a daemon and kills it a moment after a file is there. It reports whether it died before it served.
func (s *siege) killWhen(config, file string) bool {
	s.t.Helper()
	wait := time.Duration(s.lot.IntN(1500)) * time.Microsecond
	o := orders{Config: config, Looks: crashLooks(), Trap: trap{Point: inMigration, File: file, Wait: wait}}
	p := spawn(s.t, daemonEnv, o)
	early := p.url == ""
	p.kill()
	return early && slices.Contains(p.words(), sprung+string(inMigration))
}

// everythingOld asks that the daemon knows every delivery of the old file.
func (s *siege) everythingOld(p *process) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(oldFiles, "schema-1.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	var old struct {
		Deliveries []struct{ Delivery struct{ ID string } }
	}
	if err := json.Unmarshal(b, &old); err != nil {
		s.t.Fatal(err)
	}
	if len(old.Deliveries) == 0 {
		s.t.Fatal("the old file has no deliveries")
	}
	for _, o := range old.Deliveries {
		found := false
		for _, key := range []string{app.DemoKey, app.DemoKeyMia} {
			c := &client{t: s.t, base: p.url + "/api/v1", key: key}
			found = found || c.ask(http.MethodGet, "/deliveries/"+o.Delivery.ID, nil).status == http.StatusOK
		}
		if !found {
			s.t.Errorf("round %d: delivery %s is not there after the migration", s.round, o.Delivery.ID)
		}
	}
}
