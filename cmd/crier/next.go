package main

import (
	"fmt"
	"strings"

	"crier/internal/client"
	"crier/internal/post"
)

// nextWords says what happens next to a delivery, when, and what a person can do.
func nextWords(d *client.Delivery) []string {
	id := oneLine(d.ID)
	var say []string
	add := func(format string, args ...any) { say = append(say, fmt.Sprintf(format, args...)) }
	switch post.State(d.State) {
	case post.Draft:
		add("Nothing, until somebody submits the post.")
	case post.InReview:
		add("%s", reviewWords(d))
		add("If nobody does in time, it is marked missed and never sent.")
		add("Nobody can approve yet in this version: set the account's approvals to 0, cancel, and post again.")
	case post.Scheduled:
		return scheduledWords(d)
	case post.Sending:
		add("The answer of the platform is awaited. If none comes, Crier looks whether it is out before anything else.")
		if d.CancelRequested {
			add("You asked to cancel: no further attempt is made, and if this one proves absent it ends canceled.")
		}
	case post.Published:
		add("Nothing. It is out%s", outAt(d))
	case post.Partial:
		out, all := partsOut(d)
		add("Nothing by itself: %d of %d parts are out. You can go on where it stopped:", out, all)
		add("  crier retry %s", id)
	case post.Failed:
		add("Nothing by itself. Change the post if its content was refused; then send it again, or let it be:")
		add("  crier retry %s", id)
		add("  crier cancel %s", id)
	case post.Unconfirmed:
		return doubtWords(d)
	case post.Missed:
		add("Nothing by itself. Send it now or at another time, or let it be:")
		add("  crier retry %s", id)
		add("  crier retry %s --at 2026-12-01T09:00", id)
		add("  crier cancel %s", id)
	case post.AwaitingPerson:
		add("A person posts it by hand and says so:")
		add("  crier resolve %s --published URL", id)
	case post.Canceled, post.Removed:
		add("Nothing. This is final.")
	}
	return say
}

// scheduledWords says when it will be sent, and what is in the way.
func scheduledWords(d *client.Delivery) []string {
	var say []string
	blocked := false
	for _, h := range d.Holds {
		say = append(say, holdWords(d.Account, &h, d.TimeZone))
		blocked = blocked || h.Until.IsZero()
	}
	next := d.NextAttemptAt
	switch {
	case blocked:
		say = append(say, "Until then nothing is sent. If that takes too long, it is marked missed and not sent late.")
	case next.IsZero():
		say = append(say, "Crier sends it as soon as nothing is in the way.")
	case d.Attempts > 0:
		say = append(say, "Crier tries again at "+exact(next, d.TimeZone)+".")
	default:
		say = append(say, "Crier sends it at "+exact(next, d.TimeZone)+".")
	}
	if !blocked && d.Attempts == 0 && !next.IsZero() && next.After(d.Due) && len(d.Holds) == 0 {
		say = append(say, "That is later than asked for: other posts of the account go first, or are kept apart from it.")
	}
	if d.Attempts > 0 && !blocked {
		say = append(say, "Safe failures are tried again, ever more slowly, for two hours after the first attempt.")
	}
	if d.CancelRequested {
		say = append(say, "You asked to cancel: no further attempt is made.")
	}
	return say
}

// doubtWords says how a doubt is settled.
func doubtWords(d *client.Delivery) []string {
	id := oneLine(d.ID)
	var say []string
	if d.NextAttemptAt.IsZero() {
		say = append(say, "Nothing by itself: Crier has looked and cannot tell. Look at the account and say what you see:")
	} else {
		say = append(say,
			"Crier looks on the platform at "+exact(d.NextAttemptAt, d.TimeZone)+". It sends nothing again on a guess.",
			"You need not wait. Look at the account and say what you see:")
	}
	say = append(say,
		"  crier resolve "+id+" --published URL",
		"  crier resolve "+id+" --not-published --then retry",
		"  crier resolve "+id+" --not-published --then cancel")
	if d.CancelRequested {
		say = append(say, "You asked to cancel: if it proves absent, it ends canceled.")
	}
	return say
}

// reviewWords says whose agreement is missing.
func reviewWords(d *client.Delivery) string {
	names := make([]string, 0, len(d.Approval.Given))
	for _, g := range d.Approval.Given {
		names = append(names, oneLine(g.By))
	}
	switch {
	case d.Kind == string(post.Personal):
		return "It waits for the consent of the account's owner."
	case len(names) == 0:
		return fmt.Sprintf("It waits for %d approval(s); nobody has given one yet.", d.Approval.Required)
	}
	return fmt.Sprintf("It waits for %d approval(s); given so far by %s.", d.Approval.Required, strings.Join(names, ", "))
}

// holdWords says why an account's queue stands still, and what ends that.
func holdWords(account string, h *client.Hold, zoneName string) string {
	account = oneLine(account)
	why, cure := "The queue of "+account+" is held ("+oneLine(h.Reason)+")", ""
	switch post.HoldReason(h.Reason) {
	case post.HoldPaused:
		why, cure = account+" is paused", "crier account resume "+account+", or crier resume if everything is paused"
		if h.By != "" {
			why += " by " + oneLine(h.By)
		}
	case post.HoldRateLimited:
		why, cure = "The platform wants fewer requests from "+account, "time"
	case post.HoldOverBudget:
		why, cure = "The money or the quota of "+account+" is used up", "its renewal"
	case post.HoldNeedsReconnect:
		why, cure = "The platform does not accept the token of "+account, "a new token in the configuration, then crier account verify "+account
	case post.HoldWrongIdentity:
		why, cure = "The token of "+account+" belongs to somebody else than the configuration says", "the right token or the right identity, then crier account verify "+account
	case post.HoldBlackout:
		why, cure = "A blackout covers this time", "its end"
	case post.HoldWaitingForLead:
		why, cure = "It waits for the post that it refers to", "that post being out"
	case post.HoldRestored:
		why, cure = "The store was restored from a backup or copied, so what is queued may be out already", "a look at the account, then crier account resume "+account
	case post.HoldRemoved:
		why, cure = account+" is no longer in the configuration", "putting it back there"
	}
	s := why
	if !h.Since.IsZero() {
		s += " since " + when(h.Since, zoneName)
	}
	if detail := oneLine(h.Detail); detail != "" {
		s += ": " + strings.TrimSuffix(detail, ".")
	}
	if !h.Until.IsZero() {
		return s + ". It ends by itself at " + exact(h.Until, zoneName) + "."
	}
	if cure != "" {
		s += ". What ends it: " + cure
	}
	return s + "."
}

// outAt says where and since when a delivery is out.
func outAt(d *client.Delivery) string {
	if d.Receipt == nil {
		return "."
	}
	s := ""
	if !d.Receipt.At.IsZero() {
		s = " since " + exact(d.Receipt.At, d.TimeZone)
	}
	if d.Receipt.URL == "" {
		return s + "."
	}
	return s + ": " + oneLine(d.Receipt.URL) // No full stop, which would be taken for a part of it.
}

// partsOut counts the parts with a receipt.
func partsOut(d *client.Delivery) (out, all int) {
	for i := range d.Parts {
		if d.Parts[i].Receipt != nil {
			out++
		}
	}
	return out, len(d.Parts)
}

// fateOfCancel says what cancelling did to a delivery.
func fateOfCancel(d *client.Delivery) string {
	switch {
	case post.State(d.State) == post.Canceled:
		return "canceled"
	case d.CancelRequested:
		return d.State + ", no new attempt is made"
	}
	return d.State + ", left as it is"
}
