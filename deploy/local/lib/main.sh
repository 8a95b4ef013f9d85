# shellcheck shell=bash
# The instance of this clone, `.local`, or the servers that the caller named instead.

# A server named by its setting is used as it is, and no private one is started.
private_postgresql() { [ -z "${MILLRACE__DATABASE__URL:-}" ]; }
private_rabbitmq() { [ -z "${MILLRACE__BROKER__URL:-}" ]; }

# Each port has a setting of its own; the base moves all, so that two clones get along.
# port SETTING ABOVE: the port that a setting gives, or one so far above the base.
port() {
  local name=MILLRACE_PORT_BASE value=${MILLRACE_PORT_BASE:-24810} above=$2
  if [ -n "${!1:-}" ]; then name=$1 value=${!1} above=0; fi
  if ! [[ $value =~ ^[1-9][0-9]{0,4}$ ]] || [ $((value + above)) -gt 65535 ]; then
    die "$name is a number that gives ports up to 65535, not \"$value\"."
  fi
  printf '%s\n' $((value + above))
}
EPMD_PORT=$(port MILLRACE_EPMD_PORT 4)
PG_PORT=$(port MILLRACE_PG_PORT 5)
API_PORT=$(port MILLRACE_API_PORT 7)
AMQP_PORT=$(port MILLRACE_AMQP_PORT 8)
MGMT_PORT=$(port MILLRACE_MGMT_PORT 9)
DIST_PORT=$(port MILLRACE_DIST_PORT 10)

# main_open: the ports of a server that runs are the ones it was started with.
main_open() {
  instance_open "$MAIN"
  I_PG="" I_RABBITMQ=""
  if private_postgresql; then
    I_PG=1
    if ! pg_running || [ -z "$I_PG_PORT" ]; then I_PG_PORT=$PG_PORT; fi
  fi
  if private_rabbitmq; then
    I_RABBITMQ=1
    if ! mq_running || [ -z "$I_AMQP_PORT" ]; then
      I_EPMD_PORT=$EPMD_PORT I_AMQP_PORT=$AMQP_PORT I_MGMT_PORT=$MGMT_PORT I_DIST_PORT=$DIST_PORT
    fi
  fi
}

main_start() {
  ensure_programs
  main_open
  [ -n "$I_PG$I_RABBITMQ" ] || return 0
  instance_lock
  main_open # again, as somebody may have been starting it
  instance_save
  main_running || say "Starting PostgreSQL and RabbitMQ in .local"
  instance_start
  instance_unlock
}

main_stop() {
  main_open
  instance_lock
  instance_stop
  instance_unlock
}

# Runs (demo, test, bench) share a lock, and files that say what had to be started for them: the last run
# to end stops that.
run_join() {
  mkdir -p "$MAIN/run"
  exec 7>"$MAIN/run/users"
  flock -s 7
}

run_begin() { # [millrace]
  run_join
  main_running || : >"$MAIN/run/servers-for-runs"
  if [ "${1:-}" = millrace ] && none_marked "$I_DIR:api"; then : >"$MAIN/run/millrace-for-runs"; fi
}

run_end() {
  flock -n -x 7 || return 0
  main_open
  if [ -e "$MAIN/run/millrace-for-runs" ]; then
    say "Stopping what was started"
    millrace_stop
  fi
  if [ -e "$MAIN/run/servers-for-runs" ] && [ -z "$(millrace_names)" ]; then main_stop; fi
  rm -f "$MAIN/run/"*-for-runs
}

# run_outlast: what is being started now outlasts the runs. They wait with stopping until this process
# has ended, and then find nothing to stop.
run_outlast() {
  run_join
  rm -f "$MAIN/run/"*-for-runs
}

main_running() {
  main_open
  { [ -z "$I_PG" ] || pg_running; } && { [ -z "$I_RABBITMQ" ] || mq_running; }
}

main_env() {
  main_open
  [ -z "$I_PG$I_RABBITMQ" ] || [ -d "$I_DIR/secrets" ] || die "nothing has been started here yet."
  private_postgresql || {
    export_line MILLRACE__DATABASE__URL "$MILLRACE__DATABASE__URL"
    export_line MILLRACE_TEST_DATABASE_URL "$MILLRACE__DATABASE__URL"
  }
  private_rabbitmq || {
    export_line MILLRACE__BROKER__URL "$MILLRACE__BROKER__URL"
    [ -z "${MILLRACE__BROKER__MANAGEMENT_URL:-}" ] ||
      export_line MILLRACE__BROKER__MANAGEMENT_URL "$MILLRACE__BROKER__MANAGEMENT_URL"
    export_line MILLRACE_TEST_BROKER_URL "$MILLRACE__BROKER__URL"
    export_line MILLRACE_TEST_MANAGEMENT_URL "$(external_management_url)"
  }
  instance_env
  if find_postgresql; then export_line MILLRACE_TEST_PG_BIN "$PG_BIN"; fi
  export_line MILLRACE_TEST_STACK "$STACK_HOME/stack"
  export_line MILLRACE_TEST_VENV "$MAIN/venv"
  export_line MILLRACE_TEST_BIN_DIR "$(PROFILE=${PROFILE:-debug} bin_dir)"
}

management_url() { if [ -n "$I_RABBITMQ" ]; then mq_management_url; else external_management_url; fi; }

# The management API of a broker that the caller named: as said, or on RabbitMQ's usual port, with
# the credentials of the broker's own address.
external_management_url() {
  local rest=${MILLRACE__BROKER__URL#*://} authority userinfo="" host url
  authority=${rest%%/*}
  case $authority in *@*) userinfo=${authority%@*}@ ;; esac
  host=${authority##*@}
  url=${MILLRACE__BROKER__MANAGEMENT_URL:-http://${host%:*}:15672}
  case $url in
    *@*) printf '%s\n' "$url" ;;
    *) printf '%s\n' "${url%%://*}://$userinfo${url#*://}" ;;
  esac
}
