#!/usr/bin/env bash
# Compares Crier with River on PostgreSQL and asynq on Redis: `make bench-peers`, or bench/run.sh [flags of bench].
#
#   bench/run.sh                      three rounds of every row, about eight minutes
#   bench/run.sh -queued 100000       the same beside 100,000 jobs that are due later
#   bench/run.sh -only 'Crier|River'  some of the rows
#   bench/run.sh --install            install PostgreSQL and Redis (Debian, as root), then stop
#   bench/run.sh -h                   every flag
#
# The servers run on private folders below TMPDIR and answer on Unix sockets there, nowhere else. They are stopped and
# their folders removed at the end, whatever the end. PostgreSQL does not run as root: then it runs as PGUSER_RUN
# (default postgres, which Debian's package makes).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

packages=(postgresql redis-server)
if [[ ${1:-} == --install ]]; then
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
	exit
fi

# need COMMAND says what to install when a command is missing.
need() {
	command -v "$1" >/dev/null && return
	echo "run.sh needs $1: apt-get install ${packages[*]} (or, as root, bench/run.sh --install)" >&2
	exit 2
}

# Debian keeps PostgreSQL's programs out of PATH, in a folder for each version.
newest=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[[ -n $newest ]] && PATH=$newest:$PATH
need go
if [[ ${1:-} == -h ]]; then
	exec go run . -h
fi
need initdb
need pg_ctl
need redis-server

work=$(mktemp -d "${TMPDIR:-/tmp}/crier-bench.XXXXXX")
servers=()
bench=

stop_all() {
	local code=$? pid
	set +e # nothing may keep the rest from being cleaned up
	trap - EXIT INT TERM HUP
	[[ -n $bench ]] && kill "$bench" 2>/dev/null && wait "$bench"
	for pid in "${servers[@]}"; do
		kill "$pid" 2>/dev/null && wait "$pid"
	done
	[[ -f $work/pg/data/postmaster.pid ]] && as_owner pg_ctl -D "$work/pg/data" -m immediate -w stop >/dev/null
	rm -rf "$work"
	exit "$code"
}
trap stop_all EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

owner=
if ((EUID == 0)); then
	owner=${PGUSER_RUN:-postgres}
	chmod 711 "$work"
fi

# as_owner COMMAND… runs a command as the user that PostgreSQL runs as.
as_owner() {
	if [[ -n $owner ]]; then
		(cd / && runuser -u "$owner" -- env PATH="$PATH" "$@")
	else
		"$@"
	fi
}

disk=$(df --output=fstype "$work" | tail -n 1)
case $disk in
tmpfs | ramfs) echo "warning: $work lies in memory, where a sync costs nothing; point TMPDIR at a disk" >&2 ;;
esac

go build -o "$work/bench" .

# PostgreSQL: what initdb writes, with the durability that is its default spelled out.
mkdir -m 700 "$work/pg"
[[ -n $owner ]] && chown "$owner" "$work/pg"
as_owner initdb -D "$work/pg/data" -U bench --auth=trust --encoding=UTF8 --locale=C >"$work/initdb.log" || {
	cat "$work/initdb.log" >&2
	exit 1
}
as_owner tee -a "$work/pg/data/postgresql.conf" >/dev/null <<-CONF
	listen_addresses = ''
	unix_socket_directories = '$work/pg'
	fsync = on
	synchronous_commit = on
	full_page_writes = on
CONF
as_owner pg_ctl -D "$work/pg/data" -l "$work/pg/log" -w start >/dev/null || {
	cat "$work/pg/log" >&2
	exit 1
}

# redis POLICY starts a Redis that syncs its log by that policy and rewrites neither log nor snapshot meanwhile.
redis() {
	local dir=$work/redis-$1
	mkdir -m 700 "$dir"
	redis-server --port 0 --unixsocket "$dir/socket" --dir "$dir" --save '' --appendonly yes --appendfsync "$1" \
		--auto-aof-rewrite-percentage 0 --logfile "$dir/log" &
	servers+=($!)
	for ((i = 0; i < 100; i++)); do
		[[ -S $dir/socket ]] && return
		sleep 0.1
	done
	cat "$dir/log" >&2
	exit 1
}
redis always
redis everysec

echo "kernel $(uname -r), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $disk," \
	"load $(cut -d' ' -f1-3 /proc/loadavg); $(postgres --version); $(redis-server --version | cut -d' ' -f1-3)"

mkdir -m 700 "$work/crier"
# In the background, so that a signal to this script is acted on at once.
"$work/bench" -dir "$work/crier" -postgres "host=$work/pg user=bench dbname=postgres" \
	-redis-always "$work/redis-always/socket" -redis-everysec "$work/redis-everysec/socket" "$@" &
bench=$!
code=0
wait "$bench" || code=$?
bench=
exit "$code"
