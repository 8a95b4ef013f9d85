# shellcheck shell=bash
# The PostgreSQL cluster of the instance that is open.

pg_home() { printf '%s\n' "$I_PLACE/pg"; }

pg_user() { server_user postgres "$(pg_home)"; }

# Every PostgreSQL process of this cluster, backends included. They work in the data directory, and
# overwrite their own environment and command line, so this is what they are known by.
pg_processes() {
  local user
  user=$(pg_user)
  { run_as "$user" / find /proc/[0-9]*/cwd /proc/[0-9]*/exe -maxdepth 0 -printf '%h\t%f\t%l\n' 2>/dev/null || true; } |
    CLUSTER="$(pg_home)/cluster" awk -F '\t' '
      { sub("/proc/", "", $1) }
      $2 == "cwd" && ($3 == ENVIRON["CLUSTER"] || $3 == ENVIRON["CLUSTER"] " (deleted)") { here[$1] = 1 }
      $2 == "exe" && here[$1] && $3 ~ /\/postgres( |$)/ { print $1 }
    '
}

no_pg_processes() { [ -z "$(pg_processes)" ]; }

# pg_postmaster: prints the id of the living server; the file alone proves nothing.
pg_postmaster() {
  local pid
  pid=$(head -n 1 "$(pg_home)/cluster/postmaster.pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && pg_processes | grep -x -- "$pid"
}

pg_running() { pg_postmaster >/dev/null; }

pg_ready() { "$PG_BIN/pg_isready" -q -h 127.0.0.1 -p "$I_PG_PORT" -t 1; }

# pg_answers: a server that is still recovering says so, and gets the time it needs.
pg_answers() {
  local silent=0
  until pg_ready; do
    if [ $? = 1 ]; then silent=0; else silent=$((silent + 1)); fi
    [ "$silent" -lt 50 ] || return 1
    sleep 0.2
  done
}

# pg_sql DATABASE SQL
pg_sql() {
  PGPASSWORD=$(secret postgresql) "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 \
    -h 127.0.0.1 -p "$I_PG_PORT" -U millrace -d "$1" -c "$2"
}

pg_url() { # DATABASE
  printf 'postgres://millrace:%s@127.0.0.1:%s/%s\n' "$(secret postgresql)" "$I_PG_PORT" "$1"
}

# pg_clear: after a crash. Backends outlive a killed server for a moment, and two servers must never
# share the directory.
pg_clear() {
  if ! wait_until 5 no_pg_processes; then
    # shellcheck disable=SC2046 # one word per process
    signal KILL $(pg_processes)
    wait_until 10 no_pg_processes
  fi
  # First the port: should the server live after all, it keeps its file.
  require_port "$I_PG_PORT" PostgreSQL MILLRACE_PG_PORT
  rm -f "$(pg_home)/cluster/postmaster.pid"
}

# pg_start: after pg_clear, or when it runs.
pg_start() {
  local home user
  home=$(pg_home) user=$(pg_user)
  if pg_running; then
    if pg_answers; then pg_create_database; return 0; fi
    say "PostgreSQL runs, but does not answer on port $I_PG_PORT: starting it again."
    pg_stop fast
    pg_clear
  fi
  pg_create "$home" "$user"
  pg_use_version_of "$home/cluster"
  pg_agree_on_password "$home" "$user"
  pg_configure "$home" "$user"
  if ! run_as "$user" "$home" env -u PGDATA "$PG_BIN/pg_ctl" -s -w -t 300 \
    -D "$home/cluster" -l "$home/postgresql.log" start 7>&- 8>&- 9>&- </dev/null >/dev/null; then
    tail -n 15 "$home/postgresql.log" >&2
    die "PostgreSQL did not start; its log is $home/postgresql.log." \
      "\`make reset\` gives up the private data and begins anew."
  fi
  pg_create_database
}

pg_create_database() {
  pg_sql postgres "SELECT 1 FROM pg_database WHERE datname = 'millrace'" | grep -q 1 ||
    pg_sql postgres 'CREATE DATABASE millrace'
}

# A cluster appears under its name only when it is complete.
pg_create() {
  local home=$1 user=$2
  mkdir -p "$home"
  chmod 0700 "$home"
  if is_root; then chown "$user:" "$home"; fi
  [ ! -f "$home/cluster/global/pg_control" ] || return 0
  rm -rf "$home/cluster" "$home/cluster.new"
  secret postgresql | write "$home/password" 0600
  if is_root; then chown "$user:" "$home/password"; fi
  run_as "$user" "$home" "$PG_BIN/initdb" -D "$home/cluster.new" -U millrace --pwfile=password \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >"$I_DIR/log/initdb.log" 2>&1 || {
    tail -n 15 "$I_DIR/log/initdb.log" >&2
    die "initdb failed; its log is $I_DIR/log/initdb.log"
  }
  rm -f "$I_DIR/secrets/admin" # it belonged to the accounts of a cluster that is gone
  mv "$home/cluster.new" "$home/cluster"
}

# The cluster may have been made with a password that got lost since.
pg_agree_on_password() {
  local home=$1 user=$2
  ! cmp -s "$I_DIR/secrets/postgresql" "$home/password" || return 0
  printf "ALTER ROLE millrace PASSWORD '%s'\n" "$(secret postgresql)" |
    run_as "$user" "$home" "$PG_BIN/postgres" --single -D "$home/cluster" postgres >>"$I_DIR/log/initdb.log" 2>&1
  secret postgresql | write "$home/password" 0600
}

# After an upgrade of the machine the older programs are often still there.
pg_use_version_of() {
  local made
  made=$(cat "$1/PG_VERSION")
  [ "${PG_VERSION%%.*}" != "$made" ] || return 0
  [ -x "/usr/lib/postgresql/$made/bin/postgres" ] ||
    die "the private cluster was made by PostgreSQL $made, and only $PG_VERSION is here. \`make reset\` begins anew."
  PG_BIN=/usr/lib/postgresql/$made/bin PG_VERSION=$made
}

pg_configure() {
  local home=$1 user=$2
  # A copy, as the server's user may not be allowed to look into the clone.
  write "$home/millrace.conf" 0600 <"$STACK_HOME/../postgresql/postgresql.conf"
  {
    echo "# Written by the local stack at every start."
    echo "include '$home/millrace.conf'"
    echo "listen_addresses = '127.0.0.1'"
    echo "port = $I_PG_PORT"
    echo "unix_socket_directories = ''"
    echo "timezone = 'UTC'"
    echo "lc_messages = 'C'"
    cat "$I_DIR/postgresql-extra.conf" 2>/dev/null || true
  } | write "$home/cluster/postgresql.conf" 0600
  echo 'host all all 127.0.0.1/32 scram-sha-256' | write "$home/cluster/pg_hba.conf" 0600
  if is_root; then
    chown "$user:" "$home/millrace.conf" "$home/cluster/postgresql.conf" "$home/cluster/pg_hba.conf"
  fi
  ln -sfn "$home/postgresql.log" "$I_DIR/log/postgresql.log"
}

# pg_stop [fast|immediate]
pg_stop() {
  local pid
  if pid=$(pg_postmaster); then
    if [ "${1:-fast}" = fast ]; then signal INT "$pid"; else signal QUIT "$pid"; fi
  fi
  wait_until 60 no_pg_processes && return 0
  # shellcheck disable=SC2046
  signal KILL $(pg_processes)
  wait_until 10 no_pg_processes
}

# As when the machine loses its power.
pg_kill() {
  # shellcheck disable=SC2046
  signal KILL $(pg_postmaster) $(pg_processes)
  wait_until 10 no_pg_processes
}

# As when the machine hangs: connections stay open, and nobody answers.
pg_freeze() {
  # shellcheck disable=SC2046
  signal STOP $(pg_processes)
}
pg_thaw() {
  # shellcheck disable=SC2046
  signal CONT $(pg_processes)
}
