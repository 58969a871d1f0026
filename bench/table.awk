# Reads what `go test -bench` prints and prints the figures of Crier as one Markdown table, each beside its aim. Where a
# benchmark was run several times (-count), a cell is the median, with the least and the greatest value behind it.
#
#   go test … -bench . -count 3 | awk -f bench/table.awk

/^(cpu|goos|goarch): / { where[$1] = substr($0, length($1) + 2) }

/^Benchmark/ {
	name = $1
	sub(/^Benchmark/, "", name)
	sub(/-[0-9]+$/, "", name)                       # the number of processors
	gsub(/queued=[1-9][0-9]*/, "queued=all", name)  # however many CRIER_BENCH_QUEUED says
	for (i = 3; i < NF; i += 2) {
		key = name " " $(i + 1)
		values[key, ++count[key]] = $i + 0
	}
}

# sorted puts the values of a key into v, in order, and gives their number.
function sorted(key, v,    i, j, x) {
	for (i = 1; i <= count[key]; i++) {
		x = values[key, i]
		for (j = i - 1; j > 0 && v[j] > x; j--) v[j + 1] = v[j]
		v[j + 1] = x
	}
	return count[key]
}

function median(key,    v, n) {
	n = sorted(key, v)
	return n ? v[int((n + 1) / 2)] : -1
}

# show gives the median of a key times a factor, with its spread where there is one.
function show(key, unit, factor, form,    v, n, s) {
	n = sorted(key, v)
	if (!n) return "not run"
	s = sprintf(form, v[int((n + 1) / 2)] * factor)
	if (n > 1) s = s sprintf(" (" form "–" form ")", v[1] * factor, v[n] * factor)
	return s unit
}

# pair sets the values of a key to those of a, each divided by that of b from the same round.
function pair(key, a, b,    i) {
	for (i = 1; i <= count[a] && i <= count[b]; i++) if (values[b, i] > 0) values[key, ++count[key]] = values[a, i] / values[b, i]
}

function share(a, b) { return a > 0 && b > 0 ? sprintf("%.0f %%", 100 * a / b) : "not run" }
function rate(key) { return show(key, "/s", 1, "%.0f") }
function ms(key) { return show(key, " ms", 1, "%.1f") }
function row(figure, aim, seen) { print "| " figure " | " aim " | " seen " |" }

END {
	burst = "Burst/lanes=10000/queued=0"
	full = "Burst/lanes=10000/queued=all"
	again = values[burst " deliveries/s", count[burst " deliveries/s"]]  # once more, right before the long queue
	pair("whole", burst " deliveries/s", "Due/behind=0 bare/s")
	pair("halves", burst " deliveries/s", "Due/behind=0 bare-halves/s")
	print where["cpu:"] ", " where["goos:"] "/" where["goarch:"] "\n"
	row("Figure", "Aim", "Seen")
	row("---", "---", "---")
	row("10,000 due at one instant on 10,000 lanes, 1,000 in flight, durable intent and result", "", rate(burst " deliveries/s"))
	row("· lag behind the due instant, p50 · p99", "", ms(burst " lag-p50-ms") " · " ms(burst " lag-p99-ms"))
	row("· a bare loop that writes the same keys and bytes, in turns with it", "", rate("Due/behind=0 bare/s"))
	row("· of that loop: store alone · whole scheduler", "≥ 50 % (75 %)", show("Due/behind=0 of-bare-loop", " %", 100, "%.0f") " · " show("whole", " %", 100, "%.0f"))
	row("· of such a loop in twice as many commits, as the scheduler makes", "", show("halves", " %", 100, "%.0f"))
	row("the same on top of 1,000,000 queued", "≥ 15,000/s", rate(full " deliveries/s"))
	row("· of the rate without them", "≥ 40 % (60 %)", share(median(full " deliveries/s"), again))
	row("100 lanes × 100", "≥ 20,000/s", rate("Burst/lanes=100/queued=0 deliveries/s"))
	row("one lane × 10,000", "≥ 1,500/s", rate("Burst/lanes=1/queued=0 deliveries/s"))
	row("· store alone · of a bare loop of one delivery a commit", "", rate("OneLane settled/s") " · " show("OneLane of-bare-loop", " %", 100, "%.0f"))
	row("1,000,000 queued: start of the process until it serves", "≤ 200 ms", ms("Ready ready-ms"))
	row("· until a post that is due is at the platform", "", ms("Ready first-commit-ms"))
	row("· store opened and first due time known", "≤ 20 ms", ms("Open ms"))
	row("· anonymous memory", "≤ 100 MiB", show("Ready anon-MiB", " MiB", 1, "%.0f"))
	row("· file, for each delivery beyond its text", "≤ 900 B (700)", show("Ready B/delivery", " B", 1, "%.0f"))
	row("one due post on an idle daemon: due time to first byte at the platform, p50", "≤ 5 ms", ms("Punctual lag-p50-ms"))
	row("· p99", "≤ 20 ms", ms("Punctual lag-p99-ms"))
	row("create over REST on 1,000,000 queued, one caller", "", rate("REST/queued=all/create/callers=1 posts/s"))
	row("· of a bare loop of two syncs", "≥ 50 %", show("REST/queued=all/create/callers=1 of-bare-loop", " %", 100, "%.0f"))
	row("· 64 callers", "≥ 4,000/s (6,000)", rate("REST/queued=all/create/callers=64 posts/s"))
	row("bulk import on 1,000,000 queued", "≥ 8,000/s", rate("Bulk/queued=all posts/s"))
	row("· on an empty store", "≥ 20,000/s", rate("Bulk/queued=0 posts/s"))
	row("a calendar page of 500 out of 1,000,000 over REST, p99", "≤ 20 ms", ms("REST/queued=all/calendar p99-ms"))
	row("· of one account · by state", "≤ 20 ms", ms("REST/queued=all/calendar_of_one_account p99-ms") " · " ms("REST/queued=all/calendar_by_state p99-ms"))
}
