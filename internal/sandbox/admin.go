package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// adminPrefix is the first path element of what is about the sandbox itself.
//
//	GET    /_sandbox/record      every act, in order
//	GET    /_sandbox/requests    the request log
//	GET    /_sandbox/identities  who exists, without credentials
//	POST   /_sandbox/faults      arms the [Fault] in the body; delay may be a string such as "30s"
//	DELETE /_sandbox/faults      disarms all
//	POST   /_sandbox/reset       forgets everything
//
// It has no lock of its own: whoever reaches the sandbox may use it, as a sandbox holds nothing real.
const adminPrefix = "_sandbox"

func (s *Sandbox) serveAdmin(w http.ResponseWriter, r *http.Request, path string) {
	switch r.Method + " " + path {
	case "GET /record":
		writeJSON(w, http.StatusOK, nonNil(s.Record()))
	case "GET /requests":
		writeJSON(w, http.StatusOK, nonNil(s.Requests()))
	case "GET /identities":
		writeJSON(w, http.StatusOK, nonNil(s.people))
	case "POST /faults":
		f, err := decodeFault(w, r)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		s.Misbehave(f)
		w.WriteHeader(http.StatusNoContent)
	case "DELETE /faults":
		s.Behave()
		w.WriteHeader(http.StatusNoContent)
	case "POST /reset":
		if err := s.Reset(); err != nil {
			writeJSON(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

func decodeFault(w http.ResponseWriter, r *http.Request) (Fault, error) {
	var in struct {
		Fault

		Delay duration `json:"delay"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return Fault{}, fmt.Errorf("fault: %w", err)
	}
	if !in.Kind.valid() {
		return Fault{}, fmt.Errorf("fault: unknown kind %q", in.Kind)
	}
	in.Fault.Delay = in.Delay.Duration
	return in.Fault, nil
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// writeJSON answers with v. A value that can not be encoded is a bug of ours and becomes a 500.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// A client that is gone is no concern of ours.
	_, _ = w.Write(b)
}
