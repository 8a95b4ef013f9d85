# shellcheck shell=bash
# An instance is a directory with a private PostgreSQL, RabbitMQ, or both. The stack of the clone is
# the instance `.local` on fixed ports; tests make others on ports that are free.
#
#   DIR/instance.env   what it consists of, and its ports
#   DIR/id             ties the private data to this directory
#   DIR/secrets/       passwords
#   DIR/log/           logs, or links to them
#   place              the servers' own files: DIR/data, or as root a directory that other users can
#                      reach, as no server runs as root and the clone may be closed to their users

MAIN=$(dirname "$(dirname "$STACK_HOME")")/.local

# instance_open DIR: reads what is known of it. Sets I_*.
instance_open() {
  mkdir -p "$1" 2>/dev/null || die "cannot make the directory $1"
  I_DIR=$(cd "$1" && pwd -P)
  case $I_DIR in
    *[\,\'\"\\]*) die "a comma, quote or backslash in the path $I_DIR is more than some settings can take: use another one." ;;
  esac
  [ -w "$I_DIR" ] || die "$I_DIR belongs to $(stat -c %U "$I_DIR"): run as that user, or remove it."
  instance_place
  I_PG="" I_RABBITMQ="" I_OWNER="" I_API_LISTEN=""
  I_PG_PORT="" I_AMQP_PORT="" I_MGMT_PORT="" I_DIST_PORT="" I_EPMD_PORT=""
  # shellcheck source=/dev/null
  if [ -f "$I_DIR/instance.env" ]; then . "$I_DIR/instance.env"; fi
}

# instance_place: where the data is, or else where it shall be. A copy of a clone brings the link to the
# data of the original along: that is not its own.
instance_place() {
  if [ "$(cat "$I_DIR/data/belongs-to" 2>/dev/null)" = "$I_DIR" ]; then
    I_PLACE=$(realpath "$I_DIR/data")
  elif is_root; then
    I_PLACE=$(realpath -m "${MILLRACE_STATE_DIR:-/var/lib/millrace-local}")/$(printf %s "$I_DIR" | sha256sum | cut -c 1-12)
  else
    I_PLACE=$I_DIR/data
  fi
}

instance_save() {
  local name
  for name in I_PG I_RABBITMQ I_OWNER I_API_LISTEN I_PG_PORT I_AMQP_PORT I_MGMT_PORT I_DIST_PORT I_EPMD_PORT; do
    printf '%s=%q\n' "$name" "${!name}"
  done | write "$I_DIR/instance.env" 0600
}

# instance_lock: one at a time. The lock ends with this process; servers do not inherit it.
instance_lock() {
  exec 9>"$I_DIR/lock"
  flock -w 300 9 || die "another \`stack\` has been working on $I_DIR for five minutes."
}
instance_unlock() { exec 9>&-; }

secret() { cat "$I_DIR/secrets/$1"; }

# instance_prepare: the directories are there, and the private data is this instance's own.
instance_prepare() {
  local name
  mkdir -p "$I_DIR/log" "$I_DIR/run" "$I_DIR/secrets"
  chmod 0700 "$I_DIR/secrets"
  for name in postgresql rabbitmq erlang-cookie; do
    [ -s "$I_DIR/secrets/$name" ] || new_secret | write "$I_DIR/secrets/$name" 0600
  done
  [ -s "$I_DIR/id" ] || new_secret | write "$I_DIR/id" 0600
  # Without a matching id somebody removed DIR to begin anew: what is left of it goes, too.
  if ! cmp -s "$I_DIR/id" "$I_PLACE/id"; then
    pg_stop immediate
    mq_clear_leftovers
    rm -rf "$I_PLACE"
  fi
  if is_root; then
    [ -d "$(dirname "$I_PLACE")" ] || (umask 0066 && mkdir -p "$(dirname "$I_PLACE")")
    (umask 0066 && mkdir -p "$I_PLACE")
    [ "$I_PLACE" = "$I_DIR/data" ] || ln -sfn "$I_PLACE" "$I_DIR/data"
  else
    (umask 0077 && mkdir -p "$I_PLACE")
  fi
  cmp -s "$I_DIR/id" "$I_PLACE/id" || write "$I_PLACE/id" 0600 <"$I_DIR/id"
  printf '%s\n' "$I_DIR" | write "$I_PLACE/belongs-to" 0644
}

# instance_start [pg|rabbitmq|empty-rabbitmq]: both servers at once, or one; none before all ports are known to be free.
instance_start() {
  local pg="" mq="" failed="" want_pg=$I_PG want_mq=$I_RABBITMQ define=1
  case ${1:-} in pg) want_mq="" ;; rabbitmq) want_pg="" ;; empty-rabbitmq) want_pg="" define="" ;; esac
  instance_prepare
  if [ -n "$want_pg" ] && ! pg_running; then pg_clear; fi
  if [ -n "$want_mq" ] && ! mq_running; then mq_clear; fi
  if [ -n "$want_pg" ]; then pg_start & pg=$!; fi
  if [ -n "$want_mq" ]; then mq_start & mq=$!; fi
  if [ -n "$pg" ]; then wait "$pg" || failed=1; fi
  if [ -n "$mq" ]; then wait "$mq" || failed=1; fi
  [ -z "$failed" ] || exit 1
  if [ -n "$mq" ] && [ -n "$define" ]; then mq_define; fi
}

instance_stop() {
  pg_stop fast & local pg=$!
  mq_stop & local mq=$!
  wait "$pg" "$mq"
}

instance_running() { pg_running || mq_running; }

# instance_delete: stopped, and nothing of it left. A directory that is no instance, or no more, keeps what is in it.
instance_delete() {
  pg_stop immediate
  mq_kill
  if [ -f "$I_DIR/instance.env" ]; then rm -rf "$I_DIR"; fi
  case $I_PLACE in "$I_DIR"/*) ;; *) rm -rf "$I_PLACE" ;; esac
}

# instance_status: what runs, for people.
instance_status() {
  if [ -n "$I_PG" ]; then status_line PostgreSQL "$(pg_postmaster || true)" "127.0.0.1:$I_PG_PORT"; fi
  if [ -n "$I_RABBITMQ" ]; then status_line RabbitMQ "$(mq_beam)" "127.0.0.1:$I_AMQP_PORT"; fi
}

status_line() { # NAME PROCESS ADDRESS
  if [ -n "$2" ]; then
    printf '%-12s running  process %-8s %s\n' "$1" "$2" "$3"
  else
    printf '%-12s stopped\n' "$1"
  fi
}

# instance_env: lines for a shell, for people and for tests.
instance_env() {
  if [ -n "$I_PG" ]; then
    export_line MILLRACE__DATABASE__URL "$(pg_url millrace)"
    export_line MILLRACE_TEST_DATABASE_URL "$(pg_url postgres)"
  fi
  if [ -n "$I_RABBITMQ" ]; then
    export_line MILLRACE__BROKER__URL "$(mq_url)"
    export_line MILLRACE__BROKER__MANAGEMENT_URL "http://127.0.0.1:$I_MGMT_PORT"
    export_line MILLRACE_TEST_BROKER_URL "$(mq_url)"
    export_line MILLRACE_TEST_MANAGEMENT_URL "$(mq_management_url)"
  fi
}

mq_management_url() { printf 'http://millrace:%s@127.0.0.1:%s\n' "$(secret rabbitmq)" "$I_MGMT_PORT"; }

export_line() { printf 'export %s=%q\n' "$1" "$2"; }

# pick_port: a free one below the range that outgoing connections use. A port picked a moment ago by
# somebody else, and not listened on yet, is left alone.
pick_port() {
  local port taken="$MAIN/run/ports"
  mkdir -p "$taken"
  find "$taken" -type f -mmin +2 -delete 2>/dev/null || true
  while :; do
    port=$((20000 + RANDOM % 12000))
    port_free "$port" && (set -o noclobber && : >"$taken/$port") 2>/dev/null && break
  done
  printf '%s\n' "$port"
}

# instance_pick_ports: those that it does not have yet; it keeps them through restarts.
instance_pick_ports() {
  local name
  for name in I_PG_PORT I_AMQP_PORT I_MGMT_PORT I_DIST_PORT I_EPMD_PORT; do
    [ -n "${!name}" ] || printf -v "$name" '%s' "$(pick_port)"
  done
}

# An instance may be tied to a process (MILLRACE_INSTANCE_OWNER, as `make test` sets it): once that has
# ended, however badly, the instance is deleted at the next opportunity.
owner_mark() { # PID: the id alone could be somebody else's by then
  local started
  started=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20) || true
  printf '%s:%s\n' "$1" "$started"
}

instance_remember() {
  mkdir -p "$MAIN/run/instances"
  printf '%s\n' "$I_DIR" | write "$MAIN/run/instances/$(printf %s "$I_DIR" | sha256sum | cut -c 1-12)" 0600
}

instance_forget() { rm -f "$MAIN/run/instances/$(printf %s "$I_DIR" | sha256sum | cut -c 1-12)"; }

# instance_reap PID: deletes the instances of this owner (0: of nobody) and of owners that have ended.
instance_reap() {
  local file dir own
  own=$(owner_mark "$1")
  for file in "$MAIN"/run/instances/*; do
    [ -f "$file" ] || continue
    dir=$(cat "$file")
    (
      instance_open "$dir"
      if [ -s "$I_DIR/instance.env" ]; then
        [ -n "$I_OWNER" ] || exit 0
        if [ "$I_OWNER" != "$own" ] && [ "$I_OWNER" = "$(owner_mark "${I_OWNER%%:*}")" ]; then exit 0; fi
      fi # else the directory was removed, and perhaps its servers still run
      instance_delete
      instance_forget
    )
  done
}

instance_usage() {
  cat >&2 <<'END'
usage: stack instance start DIR [--pg] [--rabbitmq] [--pg-conf LINE]... [--rabbitmq-conf LINE]...
       stack instance env|stop|delete|status DIR
       stack instance start-pg|stop-pg|restart-pg|kill-pg|freeze-pg|thaw-pg DIR
       stack instance start-rabbitmq|stop-rabbitmq|restart-rabbitmq|kill-rabbitmq|wipe-rabbitmq DIR
       stack instance freeze-rabbitmq|thaw-rabbitmq|alarm-rabbitmq|calm-rabbitmq DIR
       stack instance starve-rabbitmq|feed-rabbitmq DIR
       stack instance reap
END
  exit 2
}

instance_command() {
  local verb=${1:-} dir=${2:-}
  if [ "$verb" = reap ]; then instance_reap 0; return 0; fi
  [ -n "$dir" ] || instance_usage
  shift 2
  if [ "$verb" = start ]; then instance_start_command "$dir" "$@"; return 0; fi
  [ -d "$dir" ] || [ "$verb" = delete ] || die "there is no instance in $dir"
  [ $# = 0 ] || instance_usage
  instance_open "$dir"
  [ -f "$I_DIR/instance.env" ] || [ "$verb" = delete ] || die "there is no instance in $dir"
  case $verb in
    env) instance_env; return 0 ;;
    status) instance_status; return 0 ;;
    *start-pg) need_postgresql ;;
    *start-rabbitmq | wipe-rabbitmq | alarm-rabbitmq | calm-rabbitmq | starve-rabbitmq | feed-rabbitmq) need_rabbitmq ;;
  esac
  instance_lock
  case $verb in
    stop) instance_stop ;;
    delete) instance_delete && instance_forget ;;
    start-pg) instance_start pg ;;
    stop-pg) pg_stop fast ;;
    restart-pg) pg_stop fast && instance_start pg ;;
    kill-pg) pg_kill ;;
    freeze-pg) pg_freeze ;;
    thaw-pg) pg_thaw ;;
    start-rabbitmq) instance_start rabbitmq ;;
    stop-rabbitmq) mq_stop ;;
    restart-rabbitmq) mq_stop && instance_start rabbitmq ;;
    kill-rabbitmq) mq_kill ;;
    wipe-rabbitmq) mq_wipe && instance_start empty-rabbitmq ;;
    freeze-rabbitmq) mq_freeze ;;
    thaw-rabbitmq) mq_thaw ;;
    alarm-rabbitmq) mq_control set_disk_free_limit 900000GB ;;
    calm-rabbitmq) mq_control set_disk_free_limit 1MB ;;
    starve-rabbitmq) mq_control set_vm_memory_high_watermark absolute 1MB ;;
    feed-rabbitmq) mq_control set_vm_memory_high_watermark 0.6 ;;
    *) instance_usage ;;
  esac
}

need_postgresql() { find_postgresql || die "${LACK:-PostgreSQL is not installed; \`stack install\` does it.}"; }
need_rabbitmq() { find_rabbitmq || die "${LACK:-RabbitMQ is not installed; \`stack install\` does it.}"; }

instance_start_command() {
  local dir=$1 pg_conf="" mq_conf="" pg="" rabbitmq=""
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      --pg) pg=1 ;;
      --rabbitmq) rabbitmq=1 ;;
      --pg-conf) pg_conf+="${2:?}"$'\n' && shift ;;
      --rabbitmq-conf) mq_conf+="${2:?}"$'\n' && shift ;;
      *) instance_usage ;;
    esac
    shift
  done
  instance_reap 0
  instance_open "$dir"
  instance_lock
  I_PG=${pg:-$I_PG} I_RABBITMQ=${rabbitmq:-$I_RABBITMQ}
  if [ -z "$I_PG$I_RABBITMQ" ]; then I_PG=1 I_RABBITMQ=1; fi
  if [ -n "$I_PG" ]; then need_postgresql; fi
  if [ -n "$I_RABBITMQ" ]; then need_rabbitmq; fi
  if [ -n "${MILLRACE_INSTANCE_OWNER:-}" ]; then I_OWNER=$(owner_mark "$MILLRACE_INSTANCE_OWNER"); fi
  instance_pick_ports
  instance_save
  instance_remember
  if [ -n "$pg_conf" ]; then printf %s "$pg_conf" | write "$I_DIR/postgresql-extra.conf" 0600; fi
  if [ -n "$mq_conf" ]; then printf %s "$mq_conf" | write "$I_DIR/rabbitmq-extra.conf" 0600; fi
  instance_start
  instance_env
}
