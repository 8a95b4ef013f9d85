# shellcheck shell=bash
# The RabbitMQ node of the instance that is open, and the epmd that belongs to it alone.

mq_home() { printf '%s\n' "$I_PLACE/rabbitmq"; }
mq_mark() { printf '%s\n' "$I_DIR:rabbitmq"; }
mq_user() { server_user rabbitmq "$(mq_home)"; }
epmd_mark() { printf '%s\n' "$I_DIR:epmd"; }

# The Erlang machine itself, apart from its helpers (which carry its mark as well).
mq_beam() {
  local pid user
  user=$(mq_user)
  for pid in $(marked "$(mq_mark)"); do
    case $(run_as "$user" / readlink "/proc/$pid/exe" 2>/dev/null) in */beam*) printf '%s\n' "$pid" ;; esac
  done
}

mq_running() { [ -n "$(mq_beam)" ]; }
mq_no_beam() { [ -z "$(mq_beam)" ]; }

# mq_api PATH [CURL OPTION...]: the management API. The password goes in by standard input, as
# a command line can be read by everybody.
mq_api() {
  local path=$1
  shift
  printf 'user = "millrace:%s"\n' "$(secret rabbitmq)" |
    curl -sS --noproxy '*' --max-time 5 -K - "$@" "http://127.0.0.1:$I_MGMT_PORT/api/$path"
}

mq_api_code() { mq_api "$1" -o /dev/null -w '%{http_code}' 2>/dev/null || true; }
mq_ready() { port_taken "$I_AMQP_PORT" && [ "$(mq_api_code vhosts/%2F)" = 200 ]; }

mq_url() { printf 'amqp://millrace:%s@127.0.0.1:%s/%%2F\n' "$(secret rabbitmq)" "$I_AMQP_PORT"; }

# mq_start: after mq_clear, or when it runs.
mq_start() {
  local home
  home=$(mq_home)
  if mq_running; then
    if mq_await; then return 0; fi
    say "RabbitMQ runs, but does not answer on port $I_AMQP_PORT: starting it again."
    mq_stop
    mq_clear
  fi
  mq_configure "$home"
  mq_launch "$home"
  mq_await && return 0

  # RabbitMQ holds only wake-ups, which Millrace sends again. So a damaged node (killed in its very
  # first start, for instance) is not repaired but made anew.
  say "RabbitMQ did not start on the data that it had; trying once more with none."
  mq_stop
  rm -rf "$home/mnesia"
  mq_configure "$home"
  mq_launch "$home"
  mq_await && return 0
  tail -n 20 "$I_DIR/log/rabbitmq-start.log" >&2
  die "RabbitMQ did not start; see $I_DIR/log/rabbitmq-start.log and $I_DIR/log/rabbitmq.log"
}

# mq_await: until it answers; fails at once when it has ended, or does not know its own user.
mq_await() {
  local deadline=$((SECONDS + 120)) stranger=0
  until mq_ready; do
    any_marked "$(mq_mark)" && [ "$SECONDS" -lt "$deadline" ] || return 1
    if [ "$(mq_api_code whoami)" = 401 ]; then stranger=$((stranger + 1)); else stranger=0; fi
    [ "$stranger" -lt 20 ] || return 1
    sleep 0.2
  done
}

# mq_define: declares what is shipped, as an operator does. By `load_definitions` a new node would get nothing else: neither
# its virtual host nor its user.
mq_define() {
  mq_api definitions/%2F --max-time 60 -f -o /dev/null -H 'Content-Type: application/json' --data-binary "@$STACK_HOME/../rabbitmq/definitions.json" ||
    die "RabbitMQ did not take deploy/rabbitmq/definitions.json; see $I_DIR/log/rabbitmq.log"
}

mq_configure() {
  local home=$1 user dir
  user=$(mq_user)
  for dir in "$home" "$home/mnesia" "$home/log" "$home/home" "$home/conf.d"; do
    mkdir -p "$dir"
    chmod 0700 "$dir"
  done
  {
    cat "$STACK_HOME/../rabbitmq/rabbitmq.conf"
    echo
    echo "# Added by the local stack."
    echo "listeners.tcp.1 = 127.0.0.1:$I_AMQP_PORT"
    echo "management.tcp.ip = 127.0.0.1"
    echo "management.tcp.port = $I_MGMT_PORT"
    echo "default_vhost = /"
    echo "default_user = millrace"
    echo "default_pass = $(secret rabbitmq)"
    echo "default_user_tags.administrator = true"
    echo "default_permissions.configure = .*"
    echo "default_permissions.read = .*"
    echo "default_permissions.write = .*"
    echo "log.file = rabbitmq.log"
    cat "$I_DIR/rabbitmq-extra.conf" 2>/dev/null || true
  } | write "$home/rabbitmq.conf" 0600
  write "$home/enabled_plugins" 0600 <"$STACK_HOME/../rabbitmq/enabled_plugins"
  : | write "$home/rabbitmq-env.conf" 0600
  secret erlang-cookie | write "$home/home/.erlang.cookie" 0400
  if is_root; then chown -R "$user:" "$home"; fi
  ln -sfn "$home/log/rabbitmq.log" "$I_DIR/log/rabbitmq.log"
}

mq_launch() {
  local home=$1 user
  user=$(mq_user)
  : >"$I_DIR/log/rabbitmq-start.log"
  daemon "$(epmd_mark)" "$user" "$home" "$I_DIR/log/rabbitmq-start.log" \
    "$EPMD" -address 127.0.0.1 -port "$I_EPMD_PORT"
  wait_until 10 port_taken "$I_EPMD_PORT" || {
    tail -n 5 "$I_DIR/log/rabbitmq-start.log" >&2
    die "epmd did not start on port $I_EPMD_PORT"
  }
  daemon "$(mq_mark)" "$user" "$home" "$I_DIR/log/rabbitmq-start.log" \
    env "${RABBITMQ_UNSET[@]}" \
    HOME="$home/home" LC_ALL=C.UTF-8 \
    ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$I_EPMD_PORT" ERL_CRASH_DUMP=/dev/null \
    RABBITMQ_NODENAME="millrace-$I_AMQP_PORT@localhost" RABBITMQ_USE_LONGNAME=false \
    RABBITMQ_MNESIA_BASE="$home/mnesia" RABBITMQ_LOG_BASE="$home/log" \
    RABBITMQ_PID_FILE="$home/pid" RABBITMQ_DIST_PORT="$I_DIST_PORT" \
    RABBITMQ_CONF_ENV_FILE="$home/rabbitmq-env.conf" \
    RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" RABBITMQ_CONFIG_FILES="$home/conf.d/*.conf" \
    RABBITMQ_ADVANCED_CONFIG_FILE="$home/advanced.config" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
    "$RABBITMQ_SBIN/rabbitmq-server"
}

# What the caller may have set for a RabbitMQ of their own.
mapfile -t RABBITMQ_UNSET < <(compgen -e RABBITMQ_ | sed 's/^/-u\n/')

# mq_clear_leftovers: helpers that outlived a killed node, and an epmd that nobody uses any more.
mq_clear_leftovers() {
  stop_marked "$(mq_mark)" 2
  stop_marked "$(epmd_mark)" 2
}

# mq_clear: after a crash.
mq_clear() {
  mq_clear_leftovers
  require_port "$I_EPMD_PORT" epmd MILLRACE_EPMD_PORT
  require_port "$I_AMQP_PORT" RabbitMQ MILLRACE_AMQP_PORT
  require_port "$I_MGMT_PORT" "RabbitMQ's management" MILLRACE_MGMT_PORT
  require_port "$I_DIST_PORT" "RabbitMQ's distribution" MILLRACE_DIST_PORT
}

mq_stop() {
  # shellcheck disable=SC2046 # one word per process
  signal TERM $(mq_beam)
  wait_until 60 mq_no_beam || true
  mq_clear_leftovers
}

# As when the machine loses its power.
mq_kill() {
  # shellcheck disable=SC2046
  signal KILL $(marked "$(mq_mark)") $(marked "$(epmd_mark)")
  wait_until 10 none_marked "$(mq_mark)"
}

# mq_wipe: the same node on the same ports, which has never seen anything.
mq_wipe() {
  mq_kill
  rm -rf "$(mq_home)/mnesia"
}

# As when the machine hangs: connections stay open, and nobody answers.
mq_freeze() {
  # shellcheck disable=SC2046
  signal STOP $(mq_beam)
}
mq_thaw() {
  # shellcheck disable=SC2046
  signal CONT $(mq_beam)
}

# mq_control COMMAND...: of rabbitmqctl. A disk limit above what is free, or memory below what is used, raises an alarm: the node
# takes no more messages then.
mq_control() {
  local home
  home=$(mq_home)
  run_as "$(mq_user)" "$home" env "${RABBITMQ_UNSET[@]}" HOME="$home/home" LC_ALL=C.UTF-8 \
    ERL_EPMD_PORT="$I_EPMD_PORT" RABBITMQ_USE_LONGNAME=false \
    RABBITMQ_CONF_ENV_FILE="$home/rabbitmq-env.conf" \
    "$RABBITMQ_SBIN/rabbitmqctl" -q -n "millrace-$I_AMQP_PORT@localhost" "$@" >/dev/null
}
