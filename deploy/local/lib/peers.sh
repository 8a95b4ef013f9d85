# shellcheck shell=bash
# What the benchmarks run beside Millrace, from the registries of their languages: never a part of it.

PEERS_PULP="pulpcore==3.123.1"
PEERS_CELERY="celery==5.5.3"
PEERS_GRAPHILE="graphile-worker@0.17.3"

# peers_ensure: each peer in a place of its own below .local/peers, made once, and anew where another version is wanted.
# MILLRACE_BENCH_PEERS names that place for the benchmark.
peers_ensure() {
  export MILLRACE_BENCH_PEERS=$MAIN/peers
  mkdir -p "$MILLRACE_BENCH_PEERS" "$MAIN/log"
  peer_ensure pulp "$PEERS_PULP" peer_from_pypi
  peer_ensure celery "$PEERS_CELERY" peer_from_pypi
  peer_ensure graphile "$PEERS_GRAPHILE" peer_from_npm
}

# peer_ensure NAME WHAT HOW
peer_ensure() {
  local place=$MILLRACE_BENCH_PEERS/$1 what=$2 how=$3
  [ "$(cat "$place/complete" 2>/dev/null)" != "$what" ] || return 0
  say "Installing into .local/peers/$1: $what"
  rm -rf "$place"
  if ! "$how" "$place" "$what" >"$MAIN/log/peer-$1.log" 2>&1; then
    tail -n 15 "$MAIN/log/peer-$1.log" >&2
    die "$what could not be installed; see $MAIN/log/peer-$1.log"
  fi
  printf '%s\n' "$what" >"$place/complete"
}

peer_from_pypi() { python3 -m venv "$1" && "$1/bin/pip" --disable-pip-version-check install -q "$2"; }

peer_from_npm() { mkdir -p "$1" && npm install --prefix "$1" --no-audit --no-fund "$2"; }
