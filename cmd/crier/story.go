package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"crier/internal/client"
	"crier/internal/post"
)

// why tells the story of a delivery: where it stands, each attempt, and what comes next.
func (p *page) why(d *client.Delivery) {
	p.line("%s on %s (%s account)", place(d), d.Platform, d.Kind)
	p.table("  ", facts(
		"delivery", d.ID, "post", d.Post, "due", exact(d.Due, d.TimeZone), "state", d.State+": "+stateWords(d),
		"reason", reasonLine(d.Reason),
	)...)
	p.line("\nWhat happened")
	if len(d.AttemptsLog) == 0 {
		p.line("  Nothing was asked of the platform so far.")
	}
	day := ""
	for i := range d.AttemptsLog {
		a := &d.AttemptsLog[i]
		if today := a.StartedAt.In(zone(d.TimeZone)).Format("Monday, 2 January 2006, MST"); today != day {
			day = today
			p.line("  %s", day)
		}
		p.attempt(d, a)
	}
	p.line("\nWhat happens next")
	for _, s := range nextWords(d) {
		p.line("  %s", s)
	}
}

// attempt tells one attempt in three lines: asked, answered, decided.
func (p *page) attempt(d *client.Delivery, a *client.Attempt) {
	p.line("  %s  %s", a.StartedAt.In(zone(d.TimeZone)).Format("15:04:05.000"), askedWords(d, a))
	p.line("                %s", answeredWords(a))
	if a.Decision != "" {
		p.line("                Decision: %s.", strings.TrimSuffix(oneLine(a.Decision), "."))
	}
}

// askedWords says what was asked of the platform.
func askedWords(d *client.Delivery, a *client.Attempt) string {
	part := partWords(d, a.Part)
	switch a.Act {
	case "prepare":
		return "Crier uploaded ahead what " + part + " needs."
	case "look":
		return "Crier looked on the platform for " + part + "."
	case "resolve":
		return "A person said what became of " + part + "."
	}
	return fmt.Sprintf("Attempt %d: Crier asked %s to publish %s.", a.N, d.Platform, part)
}

// partWords names a part of a delivery.
func partWords(d *client.Delivery, i int) string {
	if i < 0 || i >= len(d.Parts) {
		return "the post"
	}
	switch d.Parts[i].Role {
	case "reply":
		return fmt.Sprintf("part %d of the thread", i+1)
	case "comment":
		return "the first comment"
	case "follow_up":
		return fmt.Sprintf("part %d", i+1)
	}
	return "the post"
}

// answeredWords says what came back, after how long, and what that proves.
func answeredWords(a *client.Attempt) string {
	var b strings.Builder
	took := a.EndedAt.Sub(a.StartedAt)
	if a.Act == "resolve" {
		took = 0
	}
	switch {
	case a.Status != 0:
		fmt.Fprintf(&b, "Answer%s: HTTP %d", after(took), a.Status)
		if t := http.StatusText(a.Status); t != "" {
			b.WriteString(" " + t)
		}
		if a.Code != "" {
			b.WriteString(", code " + oneLine(a.Code))
		}
		if a.Message != "" {
			fmt.Fprintf(&b, ", “%s”", oneLine(a.Message))
		}
		b.WriteString(". ")
	case a.Message != "":
		fmt.Fprintf(&b, "No answer%s: %s. ", after(took), strings.TrimSuffix(oneLine(a.Message), "."))
	case a.Outcome != string(post.OutcomePublished) && a.Act != "resolve" && a.Act != "look":
		fmt.Fprintf(&b, "No answer%s. ", after(took))
	}
	switch post.Outcome(a.Outcome) {
	case post.OutcomePublished:
		if b.Len() == 0 && a.Act != "resolve" {
			fmt.Fprintf(&b, "Done%s. ", after(took))
		}
		if a.Act == "prepare" {
			b.WriteString("Ready.")
		} else {
			b.WriteString("It is out.")
		}
	case post.OutcomeNotPublished:
		if a.Act == "look" {
			b.WriteString("It is not to be seen there.")
		} else {
			b.WriteString("It is not out")
			b.WriteString(because(a.Reason))
		}
	case post.OutcomeUnknown:
		if a.Act == "look" && a.Reason == "" {
			b.WriteString("It was not found, which by itself proves nothing.")
		} else {
			b.WriteString("It may or may not be out")
			b.WriteString(because(a.Reason))
		}
	}
	return strings.TrimSpace(b.String())
}

// after says how long something took.
func after(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Second:
		return fmt.Sprintf(" after %d ms", d.Milliseconds())
	}
	return fmt.Sprintf(" after %.1f s", d.Seconds())
}

// because puts the reason's code into words and ends the sentence. The codes are the closed set of the adapters; one
// that is newer than this program is shown as it is.
func because(reason string) string {
	words := map[string]string{
		"":           "",
		"network":    "there was no connection, or it broke",
		"server":     "the platform has trouble of its own",
		"rate_limit": "the platform wants fewer requests",
		"auth":       "the account's token was not accepted",
		"permission": "the account may not do this",
		"content":    "the platform refuses this content",
		"policy":     "the platform blocks this as against its rules",
		"duplicate":  "the platform says that it has the same already",
		"budget":     "the money or the quota for this platform is used up",
		"prepare":    "the uploaded media were refused or have expired",
		"protocol":   "Crier does not understand the answer",
		"stopped":    "Crier stopped the request before its first byte",
	}
	w, known := words[reason]
	if !known {
		w = oneLine(reason)
	}
	if w == "" {
		return "."
	}
	return ": " + w + "."
}

// reasonLine puts a delivery's reason on one line.
func reasonLine(r *client.Reason) string {
	switch {
	case r == nil:
		return ""
	case r.Message == "":
		return r.Code
	}
	return r.Message + " (" + r.Code + ")"
}

// exact says an instant to the second in a zone, and in UTC when that differs.
func exact(t time.Time, zoneName string) string {
	if t.IsZero() {
		return "-"
	}
	local := t.In(zone(zoneName)).Format("Mon 2006-01-02 15:04:05 MST")
	if zone(zoneName) == time.UTC {
		return local
	}
	return local + " (" + t.UTC().Format("15:04:05") + " UTC)"
}

// stateWords says what a state means.
func stateWords(d *client.Delivery) string {
	switch post.State(d.State) {
	case post.Draft:
		return "not submitted yet"
	case post.InReview:
		return "waits for people to agree"
	case post.Scheduled:
		if d.Attempts > 0 {
			return "not out yet, will be tried again"
		}
		return "will be sent"
	case post.Sending:
		return "a request may be under way right now"
	case post.Published:
		return "it is out, the platform confirmed it"
	case post.Partial:
		return "some parts are out, the rest will not go on by itself"
	case post.Failed:
		return "certainly not out"
	case post.Unconfirmed:
		return "it may or may not be out"
	case post.Missed:
		return "its time passed while nothing could send it"
	case post.AwaitingPerson:
		return "a person is to post it by hand"
	case post.Canceled:
		return "withdrawn before anything was out"
	case post.Removed:
		return "it was out and has been taken down"
	}
	return "a state that this program does not know"
}
