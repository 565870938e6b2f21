#!/usr/bin/env bash
# start_ours.sh WORKDIR PORT DATADIR: bring up this server with the benchmark's data, pinned to one core.
#
# DATADIR holds homes.zone, tsig.name, tsig.secret and meta ("HOMES ORIGIN"); with many.list and many/ also a zone
# per home. Where it holds homes.jsonl (make_homes.py) these homes are imported, a zone each with its own SIG(0) key,
# and MANY, SIG0 and DENIAL say nothing. What does the work is the process tree of the pid in WORKDIR/pid: supervisor, worker, signer and Postgres.
# A second start in the same WORKDIR is a warm restart. Stop it by SIGTERM to that pid.
#
#   MANY=1        serve the small zones instead of the one
#   SIG0=1        enrol each home's own key, as its KEY record says
#   DENIAL=nsec3  nsec3 (our default), nsec or none
#   TLS=1         DNS over TLS too, on the next port
#   JOBS=2        batches of an import that are on their way at a time
#   WORKERS=1  SERVER_CPU=0  DDNS=path/to/ddns  DDNS_DSN=... (then count that database's pids yourself)
set -eu
[ $# = 3 ] || { sed -n '2,16s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd); port=$2; data=$(cd "$3" && pwd)
ddns=${DDNS:-$here/../.venv/bin/ddns}
ddns=$(command -v "$ddns") || { echo "start_ours: no ${DDNS:-.venv/bin/ddns}; install first, or set DDNS" >&2; exit 1; }
cpu=${SERVER_CPU:-0}
export DDNS_STATE="$work/state"

if [ -e "$work/pid" ] && kill -0 "$(cat "$work/pid")" 2>/dev/null; then
  echo "start_ours: already running in $work as pid $(cat "$work/pid")" >&2
  exit 1
fi

if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
  echo "start_ours: somebody listens on port $port already" >&2
  exit 1
fi

if [ ! -e "$work/loaded" ]; then
  MANY=${MANY:-0} SIG0=${SIG0:-0} DENIAL=${DENIAL:-nsec3} "$(dirname "$ddns")/python" "$here/registry_file.py" "$data" >"$work/registry.toml"
  began=$(date +%s.%N)
  taskset -c "$cpu" "$ddns" apply --wait 0 "$work/registry.toml" >"$work/apply.log"
  if [ -e "$data/homes.jsonl" ]; then
    taskset -c "${IMPORT_CPU:-$cpu}" "$ddns" home import --json --jobs "${JOBS:-2}" --registry "$(cut -d' ' -f2 "$data/meta")" \
      "$data/homes.jsonl" >"$work/import.json" 2>"$work/import.log"
  fi
  touch "$work/loaded"
  echo "ours load_s $(echo "$(date +%s.%N) $began" | awk '{printf "%.2f", $1 - $2}')"
fi

cd "$work"  # a core file or a stray log belongs here
began=$(date +%s.%N)
tls=; [ "${TLS:-0}" = 0 ] || tls="--tls 127.0.0.1:$((port + 1))"
# shellcheck disable=SC2086  # two words or none
taskset -c "$cpu" "$ddns" serve $tls --listen "127.0.0.1:$port" --workers "${WORKERS:-1}" >"$work/serve.log" 2>&1 &
echo $! >"$work/pid"

read -r homes origin <"$data/meta"
name=$(printf 'h%06d.%s' "$homes" "$origin")
[ "${MANY:-0}" = 0 ] || [ -e "$data/homes.jsonl" ] || name=$(tail -n 1 "$data/many.list")
want='A[[:space:]]+10\.'
[ "${DENIAL:-nsec3}" = none ] || want=RRSIG
for _ in $(seq "$(( ${WAIT:-900} * 10 ))"); do
  kill -0 "$(cat "$work/pid")" 2>/dev/null || { echo "start_ours: the server ended; see $work/serve.log" >&2; tail -n 5 "$work/serve.log" >&2; exit 1; }
  if dig @127.0.0.1 -p "$port" "$name" A +dnssec +norec +tries=1 +time=1 +noall +answer 2>/dev/null | grep -Eq "$want"; then
    echo "ours signed_after_s $(echo "$(date +%s.%N) $began" | awk '{printf "%.2f", $1 - $2}')"
    exit 0
  fi
  sleep 0.1
done
echo "start_ours: no signed answer for $name within ${WAIT:-900} s; see $work/serve.log" >&2
exit 1
