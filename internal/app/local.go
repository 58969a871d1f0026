package app

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
)

// asHeader names, on the local socket alone, for whom one acts.
const asHeader = "Crier-As"

// localHandler is the API as it is reached through the local socket: without a key, as the person that the request
// names, by default the owner of the installation. It adds what only the machine itself may ask for.
func (a *App) localHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_local/backup", a.localBackup)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		person := r.Header.Get(asHeader)
		if person == "" {
			person = a.people.Owner
		}
		r = r.Clone(r.Context())
		r.Header.Del(asHeader)
		if r.Header.Get("Authorization") == "" {
			// An unknown person has no key, and the API then answers as it does to any stranger.
			r.Header.Set("Authorization", "Bearer "+a.local[person])
		}
		a.handler.ServeHTTP(w, r)
	})
	return mux
}

// localBackup copies the store to a path on this machine.
func (a *App) localBackup(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Path string `json:"path"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ask); err != nil || !filepath.IsAbs(ask.Path) || strings.ContainsRune(ask.Path, 0) {
		localProblem(w, http.StatusUnprocessableEntity, "the body is {\"path\": an absolute path}")
		return
	}
	if err := a.store.Backup(r.Context(), ask.Path); err != nil {
		localProblem(w, http.StatusConflict, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func localProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// A client that is gone does not read it; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail, "code": "local",
	})
}
