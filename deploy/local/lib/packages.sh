# shellcheck shell=bash
# Finds the programs that the stack needs, and installs those that are missing.

PG_OLDEST=15
RABBITMQ_OLDEST=3.10

# older VERSION THAN
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# find_postgresql: sets PG_BIN and PG_VERSION to the newest one; fails when there is none.
find_postgresql() {
  local dir version
  PG_BIN="" PG_VERSION=0
  for dir in "${MILLRACE_PG_BIN:-}" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
    "$(dirname "$(readlink -f "$(command -v postgres)")" 2>/dev/null)"; do
    if ! [ -x "$dir/postgres" ] || ! [ -x "$dir/initdb" ]; then continue; fi
    version=$("$dir/postgres" --version | sed 's/^[^0-9]*\([0-9.]*\).*/\1/')
    if older "$PG_VERSION" "$version"; then PG_BIN=$dir PG_VERSION=$version; fi
    [ "$dir" = "${MILLRACE_PG_BIN:-}" ] && break
  done
  [ -n "$PG_BIN" ] || return 1
  ! older "$PG_VERSION" "$PG_OLDEST" ||
    die "PostgreSQL $PG_VERSION ($PG_BIN) is too old: Millrace needs $PG_OLDEST or newer." \
      "MILLRACE_PG_BIN names the directory of another one."
}

# find_rabbitmq: sets RABBITMQ_SBIN, RABBITMQ_VERSION and EPMD. The scripts of the release itself
# are used: the distribution's wrappers around them insist on a user.
find_rabbitmq() {
  local dir version
  RABBITMQ_SBIN="" RABBITMQ_VERSION=0
  for dir in "${MILLRACE_RABBITMQ_SBIN:-}" /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin \
    "$(dirname "$(readlink -f "$(command -v rabbitmq-server)")" 2>/dev/null)"; do
    if ! [ -x "$dir/rabbitmq-server" ] || ! [ -f "$dir/rabbitmq-defaults" ]; then continue; fi
    # Not `rabbitmqctl version`: that leaves an epmd behind on the standard port.
    version=$(compgen -G "$dir/../plugins/rabbit-[0-9]*" | sed -n 's/.*\/rabbit-\([0-9.]*[0-9]\).*/\1/p' | head -n 1)
    [ -n "$version" ] || continue
    if older "$RABBITMQ_VERSION" "$version"; then RABBITMQ_SBIN=$dir RABBITMQ_VERSION=$version; fi
    [ "$dir" = "${MILLRACE_RABBITMQ_SBIN:-}" ] && break
  done
  [ -n "$RABBITMQ_SBIN" ] || return 1
  ! older "$RABBITMQ_VERSION" "$RABBITMQ_OLDEST" ||
    die "RabbitMQ $RABBITMQ_VERSION ($RABBITMQ_SBIN) is too old: Millrace needs $RABBITMQ_OLDEST or newer." \
      "MILLRACE_RABBITMQ_SBIN names the directory of another one."
  compgen -G "$RABBITMQ_SBIN/../plugins/rabbitmq_management-[0-9]*" >/dev/null ||
    die "RabbitMQ $RABBITMQ_VERSION ($RABBITMQ_SBIN) comes without its management plugin."
  EPMD=$(command -v epmd || compgen -G '/usr/lib/erlang/erts-*/bin/epmd' | tail -n 1) ||
    die "RabbitMQ is here, but Erlang's epmd is not in PATH."
}

has_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }

# ensure_programs [test]: everything the servers (and the tests) need is there afterwards.
ensure_programs() {
  local missing=()
  if private_postgresql; then find_postgresql || missing+=(postgresql); fi
  if private_rabbitmq; then find_rabbitmq || missing+=(rabbitmq-server); fi
  command -v curl >/dev/null || missing+=(curl ca-certificates)
  command -v setsid >/dev/null || missing+=(util-linux)
  command -v cc >/dev/null || missing+=(gcc libc6-dev)
  if [ "${1:-}" = test ]; then has_venv || missing+=(python3 python3-venv); fi
  [ "${#missing[@]}" -gt 0 ] || return 0

  apt_install "${missing[@]}"
  hash -r
  if private_postgresql; then find_postgresql || die "PostgreSQL is not where it was expected after its installation."; fi
  if private_rabbitmq; then find_rabbitmq || die "RabbitMQ is not where it was expected after its installation."; fi
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
