# shellcheck shell=bash
# Millrace itself: built, migrated, and run in the background on the servers of this clone.

# A toolchain from rustup is not always in the PATH of root or of a CI job.
command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

# Everything that runs in the background is built for release; tests are not.
profile() { printf '%s\n' "${PROFILE:-release}"; }
bin_dir() { printf '%s/%s\n' "${CARGO_TARGET_DIR:-$ROOT/target}" "$(profile)"; }

# The manifest says which Rust it takes.
require_rust() {
  local needed found
  command -v cargo >/dev/null || die "cargo is not in PATH: Millrace needs a Rust toolchain (https://rustup.rs)."
  needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
  found=$(cd "$ROOT" && cargo --version | sed 's/^cargo \([0-9.]*\).*/\1/')
  ! older "$found" "$needed" ||
    die "Rust $found ($(command -v cargo)) is too old: Millrace needs $needed or newer (https://rustup.rs)."
}

# cargo_in_profile ARGUMENT...: cargo in the workspace, with the profile's flag added.
cargo_in_profile() {
  local flags=()
  require_rust
  case $(profile) in
    release) flags=(--release) ;;
    # To nextest a profile is something else.
    dist) if [ "$1" = nextest ]; then flags=(--cargo-profile dist); else flags=(--profile dist); fi ;;
    debug) ;;
    *) die "PROFILE is release, dist or debug" ;;
  esac
  (cd "$ROOT" && cargo "$@" "${flags[@]}")
}

build() { cargo_in_profile build --locked "$@"; }

# settings_export: what API and workers read; anything that the caller has set stays as it is.
settings_export() {
  if [ -n "$I_PG" ]; then export MILLRACE__DATABASE__URL && MILLRACE__DATABASE__URL=$(pg_url millrace); fi
  if [ -n "$I_RABBITMQ" ]; then
    export MILLRACE__BROKER__URL && MILLRACE__BROKER__URL=$(mq_url)
    export MILLRACE__BROKER__MANAGEMENT_URL=http://127.0.0.1:$I_MGMT_PORT
  fi
  export MILLRACE__API__LISTEN && MILLRACE__API__LISTEN=$(api_listen)
  export MILLRACE__ADMIN__PASSWORD && MILLRACE__ADMIN__PASSWORD=$(admin_password)
  export MILLRACE__STORAGE__ROOT=${MILLRACE__STORAGE__ROOT:-$MAIN/storage}
  export MILLRACE__SECRETS__KEY_FILES=${MILLRACE__SECRETS__KEY_FILES:-$MAIN/secrets/data.key}
  export MILLRACE__DIAGNOSTICS__ENABLED=${MILLRACE__DIAGNOSTICS__ENABLED:-true}
  export MILLRACE__WORKER__HEALTH_LISTEN=${MILLRACE__WORKER__HEALTH_LISTEN:-}
  # `make down` gives up waiting for tasks some time after the workers have.
  export MILLRACE__WORKER__GRACE_SECONDS=${MILLRACE__WORKER__GRACE_SECONDS:-30}
  mkdir -p "$MAIN/storage" "$MAIN/log" "$MAIN/run" "$MAIN/secrets"
  chmod 0700 "$MAIN/secrets"
  [ -s "$MAIN/secrets/admin" ] || printf '%s\n' "$MILLRACE__ADMIN__PASSWORD" | write "$MAIN/secrets/admin" 0600
  [ -s "$MAIN/secrets/data.key" ] || head -c 32 /dev/urandom | base64 | write "$MAIN/secrets/data.key" 0600
}

# admin_password: the one that the first start was given, unless the caller gives another.
admin_password() {
  if [ -n "${MILLRACE__ADMIN__PASSWORD:-}" ]; then
    printf '%s\n' "$MILLRACE__ADMIN__PASSWORD"
  else
    secret admin 2>/dev/null || printf 'password\n'
  fi
}

settings_digest() {
  { compgen -e MILLRACE__ && echo RUST_LOG; } | sort | while read -r name; do
    printf '%s=%s\n' "$name" "${!name:-}"
  done | sha256sum
}

# api_listen: the address that the API shall have. One that runs keeps the address that it was started
# with, unless the caller says otherwise.
api_listen() {
  local listen=127.0.0.1:$API_PORT
  if [ -n "${MILLRACE__API__LISTEN:-}" ]; then
    listen=$MILLRACE__API__LISTEN
  elif [ -z "${MILLRACE_API_PORT:-}" ] && [ -n "$I_API_LISTEN" ] && any_marked "$I_DIR:api"; then
    listen=$I_API_LISTEN
  fi
  printf '%s\n' "$listen"
}

# The API may listen on all addresses; people and curl go to this one.
api_origin() {
  local listen=${I_API_LISTEN:-127.0.0.1:$API_PORT} host
  host=${listen%:*}
  case $host in 0.0.0.0 | '[::]' | '') host=127.0.0.1 ;; esac
  printf 'http://%s:%s\n' "$host" "${listen##*:}"
}

api_get() { curl -fsS --noproxy '*' --max-time 5 "$(api_origin)/pulp/api/v3/$1" 2>/dev/null; }
api_lives() { api_get livez/ >/dev/null; }

# millrace_names: the processes of Millrace that run here (api, worker-1, ...).
millrace_names() {
  local line
  { grep -hz "^$MARK=" /proc/[0-9]*/environ 2>/dev/null || true; } | tr '\0' '\n' | sort -u |
    while IFS= read -r line; do
      case $line in
        "$MARK=$I_DIR:api" | "$MARK=$I_DIR:worker-"*) printf '%s\n' "${line#"$MARK=$I_DIR:"}" ;;
      esac
    done
}

# process_start NAME COMMAND...: nothing happens when it runs already, with this very program and
# these settings; otherwise it is replaced.
process_start() {
  local name=$1 pid digest
  shift
  digest=$(settings_digest)
  pid=$(marked "$I_DIR:$name" | head -n 1)
  if [ -n "$pid" ]; then
    case $(readlink "/proc/$pid/exe") in
      *' (deleted)') ;;
      *) [ "$digest" != "$(cat "$I_DIR/run/$name.settings" 2>/dev/null)" ] || return 0 ;;
    esac
    say "Replacing $name, as the program or its settings changed"
    process_stop "$name"
  fi
  printf '%s\n' "$digest" | write "$I_DIR/run/$name.settings" 0600
  daemon "$I_DIR:$name" "$(id -un)" "$ROOT" "$I_DIR/log/$name.log" "$@"
  printf '%s\n' $! >"$I_DIR/run/$name.pid"
}

# process_stop NAME...: all are asked first, then waited for. A worker lets its tasks finish.
process_stop() {
  local name
  # shellcheck disable=SC2046 # one word per process
  for name in "$@"; do signal TERM $(marked "$I_DIR:$name"); done
  for name in "$@"; do
    wait_until "${STOP_TIMEOUT:-90}" none_marked "$I_DIR:$name" || stop_marked "$I_DIR:$name" 1
    rm -f "$I_DIR/run/$name.pid" "$I_DIR/run/$name.settings"
  done
}

# process_await NAME SECONDS COMMAND...: until it lives and the command succeeds, else shows its log.
process_await() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  while any_marked "$I_DIR:$name" && [ "$SECONDS" -lt "$deadline" ]; do
    if "$@"; then return 0; fi
    sleep 0.1
  done
  tail -n 20 "$I_DIR/log/$name.log" >&2
  die "$name did not start; its log is $I_DIR/log/$name.log"
}

workers_online() { # COUNT
  [ "$(api_get status/ | sed 's/.*"online_workers": *\[//; s/\].*//' | grep -o '"last_heartbeat"' | wc -l)" -ge "$1" ]
}

millrace_migrate() {
  run_outlast
  main_start
  main_open
  settings_export
  build --bin millrace-api
  "$(bin_dir)/millrace-api" migrate
}

millrace_up() {
  run_outlast
  millrace_start
}

millrace_start() {
  local n name wanted
  ensure_programs
  main_open
  wanted=${WORKERS:-$(workers_wanted)}
  [[ $wanted =~ ^[0-9]+$ ]] || die "WORKERS is a number, not \"$wanted\""
  require_api_port
  main_start
  main_open
  build --bin millrace-api --bin millrace-worker
  instance_lock
  settings_export
  I_API_LISTEN=$MILLRACE__API__LISTEN
  instance_save
  say "Migrating the database"
  "$(bin_dir)/millrace-api" migrate
  say "Starting the API and $wanted workers"
  process_start api "$(bin_dir)/millrace-api" serve
  process_await api 60 api_lives
  for ((n = 1; n <= wanted; n++)); do process_start "worker-$n" "$(bin_dir)/millrace-worker" run; done
  # Fewer than before are wanted only when the caller says so.
  if [ -n "${WORKERS:-}" ]; then
    for name in $(millrace_names); do
      case $name in worker-*) [ "${name#worker-}" -le "$wanted" ] || process_stop "$name" ;; esac
    done
  fi
  for ((n = 1; n <= wanted; n++)); do process_await "worker-$n" 60 workers_online "$wanted"; done
  instance_unlock
  addresses
}

# workers_wanted: as many as there are, down to the last of them.
workers_wanted() {
  local last
  last=$(millrace_names | sed -n 's/^worker-//p' | sort -n | tail -n 1)
  printf '%s\n' "${last:-2}"
}

require_api_port() {
  local listen setting=MILLRACE_API_PORT
  listen=$(api_listen)
  if any_marked "$I_DIR:api" && [ "$listen" = "${I_API_LISTEN:-$listen}" ]; then return 0; fi
  if [ -n "${MILLRACE__API__LISTEN:-}" ]; then setting=MILLRACE__API__LISTEN; fi
  require_port "${listen##*:}" "the API" "$setting"
}

addresses() {
  printf '\n  API            %s/pulp/api/v3/   (admin / %s)\n' "$(api_origin)" "$(admin_password)"
  printf '  documentation  %s/pulp/api/v3/docs/\n' "$(api_origin)"
  if [ -n "$I_RABBITMQ" ]; then
    printf '  RabbitMQ       http://127.0.0.1:%s/   (millrace / %s)\n' "$I_MGMT_PORT" "$(secret rabbitmq)"
  fi
  printf '  logs           %s/log/\n\n' "$I_DIR"
}

millrace_down() {
  main_open
  millrace_stop
  main_stop
  instance_reap 0
}

millrace_stop() {
  local names
  mapfile -t names < <(millrace_names)
  [ "${#names[@]}" = 0 ] || process_stop "${names[@]}"
}

millrace_status() {
  local name
  main_open
  instance_status
  private_postgresql || printf '%-12s %s\n' PostgreSQL "not ours: MILLRACE__DATABASE__URL names one"
  private_rabbitmq || printf '%-12s %s\n' RabbitMQ "not ours: MILLRACE__BROKER__URL names one"
  status_line api "$(marked "$I_DIR:api" | head -n 1)" "$(api_origin)/pulp/api/v3/"
  for name in $(millrace_names); do
    [ "$name" = api ] || status_line "$name" "$(marked "$I_DIR:$name" | head -n 1)" ""
  done
  if any_marked "$I_DIR:api"; then addresses; fi
}

millrace_logs() {
  local files=("$MAIN/log/${LOGS:-}"*.log)
  [ -e "${files[0]}" ] || die "there are no logs ${LOGS:+named $LOGS... }in $MAIN/log yet."
  exec tail -n "${LINES_BEFORE:-50}" -F "${files[@]}"
}

millrace_reset() {
  main_open
  millrace_stop
  instance_reap 0
  instance_lock
  # The virtual environment and the list of other instances are not data.
  pg_stop immediate
  mq_kill
  rm -rf "$I_PLACE" "$I_DIR/storage" "$I_DIR/secrets" "$I_DIR/log" "$I_DIR/id" "$I_DIR/instance.env" "$I_DIR/data"
  say "The private data is gone; the next start begins anew."
}

# millrace_demo: leaves everything as it was found, but for artifacts that nothing uses: those go, unless
# people are using this Millrace, where it refuses to begin.
millrace_demo() {
  run_begin millrace
  trap demo_end EXIT
  trap 'exit 130' HUP INT TERM
  # One at a time: the clean-up at its end would take the files that another has just uploaded.
  exec 8>"$MAIN/run/demo"
  flock -n 8 || { say "Waiting for another demonstration to end" && flock 8; }
  millrace_start
  build -p millrace-tests --bin demo
  if ! [ -e "$MAIN/run/millrace-for-runs" ]; then export MILLRACE_DEMO_SPARES_FILES=1; fi
  MILLRACE_DEMO_API_URL=$(api_origin) MILLRACE_DEMO_PASSWORD=$MILLRACE__ADMIN__PASSWORD \
    MILLRACE_DEMO_STORAGE_ROOT=$MILLRACE__STORAGE__ROOT \
    MILLRACE_DEMO_MANAGEMENT_URL=$(management_url) \
    "$(bin_dir)/demo"
}

demo_end() {
  local code=$?
  trap - EXIT
  run_end
  exit "$code"
}
