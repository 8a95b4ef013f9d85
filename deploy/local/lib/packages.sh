# shellcheck shell=bash
# Finds the programs that the stack needs, and installs those that are missing.

PG_OLDEST=15
RABBITMQ_OLDEST=3.10

# older VERSION THAN
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# find_postgresql: sets PG_BIN and PG_VERSION to the newest one. Fails when there is none that can be
# used; LACK then says what is wrong with the one that there is.
find_postgresql() {
  local dir version
  PG_BIN="" PG_VERSION=0 LACK=""
  for dir in ${MILLRACE_PG_BIN:+"$MILLRACE_PG_BIN"} /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
    "$(dirname "$(readlink -f "$(command -v postgres)")" 2>/dev/null)"; do
    if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then
      version=$("$dir/postgres" --version | sed 's/^[^0-9]*\([0-9.]*\).*/\1/')
      if older "$PG_VERSION" "$version"; then PG_BIN=$dir PG_VERSION=$version; fi
    fi
    [ "$dir" != "${MILLRACE_PG_BIN:-}" ] || break
  done
  if [ -z "$PG_BIN" ]; then
    LACK=${MILLRACE_PG_BIN:+"MILLRACE_PG_BIN names $MILLRACE_PG_BIN, where no postgres and initdb are."}
    return 1
  fi
  older "$PG_VERSION" "$PG_OLDEST" || return 0
  LACK="PostgreSQL $PG_VERSION ($PG_BIN) is too old: Millrace needs $PG_OLDEST or newer."
  LACK="$LACK MILLRACE_PG_BIN names the directory of another one."
  return 1
}

# find_rabbitmq: sets RABBITMQ_SBIN, RABBITMQ_VERSION and EPMD, and fails as find_postgresql does. The
# scripts of the release itself are used: the distribution's wrappers around them insist on a user.
find_rabbitmq() {
  local dir version
  RABBITMQ_SBIN="" RABBITMQ_VERSION=0 LACK=""
  for dir in ${MILLRACE_RABBITMQ_SBIN:+"$MILLRACE_RABBITMQ_SBIN"} /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin \
    "$(dirname "$(readlink -f "$(command -v rabbitmq-server)")" 2>/dev/null)"; do
    if [ -x "$dir/rabbitmq-server" ] && [ -f "$dir/rabbitmq-defaults" ]; then
      # Not `rabbitmqctl version`: that leaves an epmd behind on the standard port.
      version=$(compgen -G "$dir/../plugins/rabbit-[0-9]*" | sed -n 's/.*\/rabbit-\([0-9.]*[0-9]\).*/\1/p' | head -n 1)
      if older "$RABBITMQ_VERSION" "${version:-0}"; then RABBITMQ_SBIN=$dir RABBITMQ_VERSION=$version; fi
    fi
    [ "$dir" != "${MILLRACE_RABBITMQ_SBIN:-}" ] || break
  done
  if [ -z "$RABBITMQ_SBIN" ]; then
    LACK=${MILLRACE_RABBITMQ_SBIN:+"MILLRACE_RABBITMQ_SBIN names $MILLRACE_RABBITMQ_SBIN, where no rabbitmq-server and rabbitmq-defaults are."}
  elif older "$RABBITMQ_VERSION" "$RABBITMQ_OLDEST"; then
    LACK="RabbitMQ $RABBITMQ_VERSION ($RABBITMQ_SBIN) is too old: Millrace needs $RABBITMQ_OLDEST or newer."
    LACK="$LACK MILLRACE_RABBITMQ_SBIN names the directory of another one."
  elif ! compgen -G "$RABBITMQ_SBIN/../plugins/rabbitmq_management-[0-9]*" >/dev/null; then
    LACK="RabbitMQ $RABBITMQ_VERSION ($RABBITMQ_SBIN) comes without its management plugin."
  elif ! EPMD=$(command -v epmd || compgen -G '/usr/lib/erlang/erts-*/bin/epmd' | tail -n 1); then
    LACK="RabbitMQ is here, but Erlang's epmd is not in PATH."
  fi
  [ -n "$RABBITMQ_SBIN" ] && [ -z "$LACK" ]
}

has_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }

# ensure_programs [test|bench]: everything the servers (and what runs on them) need is there
# afterwards. Tests and benchmarks use the programs of both servers, wherever these are.
ensure_programs() {
  local pg="" mq="" missing=()
  if [ -n "${1:-}" ] || private_postgresql; then pg=1; fi
  if [ -n "${1:-}" ] || private_rabbitmq; then mq=1; fi
  if [ -n "$pg" ] && ! find_postgresql; then lacks postgresql; fi
  if [ -n "$mq" ] && ! find_rabbitmq; then lacks rabbitmq-server; fi
  command -v curl >/dev/null || missing+=(curl ca-certificates)
  command -v setsid >/dev/null || missing+=(util-linux)
  command -v cc >/dev/null || missing+=(gcc libc6-dev)
  if [ "${1:-}" = test ]; then
    has_venv || missing+=(python3 python3-venv)
    # A test's client is a script that reads answers with it.
    command -v jq >/dev/null || missing+=(jq)
    # The shell's own `kill` does not count.
    type -P kill >/dev/null || missing+=(procps)
    # Hosts and clocks of a test's own.
    command -v ip >/dev/null || missing+=(iproute2)
    compgen -G '/usr/lib*/*/faketime/libfaketime.so.1' >/dev/null || missing+=(libfaketime)
  fi
  if [ "${1:-}" = bench ]; then
    # Beside which content is served, and the client of both.
    [ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || missing+=(nginx-light)
    command -v wrk >/dev/null || missing+=(wrk)
    type -P kill >/dev/null || missing+=(procps)
    # What the queues beside Millrace are written in.
    has_venv || missing+=(python3 python3-venv)
    command -v npm >/dev/null || missing+=(nodejs npm)
  fi
  [ "${#missing[@]}" -gt 0 ] || return 0

  apt_install "${missing[@]}"
  hash -r
  [ -z "$pg" ] || find_postgresql || die "${LACK:-PostgreSQL is not where it was expected after its installation.}"
  [ -z "$mq" ] || find_rabbitmq || die "${LACK:-RabbitMQ is not where it was expected after its installation.}"
}

# lacks PACKAGE: adds to what is `missing`; one that is there and cannot be used is not replaced.
lacks() {
  [ -z "$LACK" ] || die "$LACK"
  missing+=("$1")
}

apt_install() {
  local root=()
  if ! command -v apt-get >/dev/null; then
    die "this machine lacks: $*. Install them with its package manager (these are Debian's names)."
  elif ! is_root; then
    sudo -n true 2>/dev/null ||
      die "this machine lacks: $*. As root, \`deploy/local/stack install\` installs them (or apt-get install $*)."
    root=(sudo -n)
  fi
  say "Installing $*"
  "${root[@]}" bash "$STACK_HOME/lib/apt-install" "$@"
}
