# shellcheck shell=bash
# Words, waiting, ports and processes: what every other part needs.

# All functions here may run while the shell is ending (in its EXIT trap), where a bare `return` would
# hand on the status with which it ends: so they say `return 0`.

say() { printf '%s\n' "$*" >&2; }
note() { printf '  %s\n' "$*" >&2; }
die() {
  printf 'stack: %s\n' "$*" >&2
  exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

# A password that may stand in a URL as it is.
new_secret() { head -c 18 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# write FILE MODE: standard input becomes FILE, whole or not at all, a crash included. Its user is the
# directory's: after a `sudo make down` that user must still be able to read it.
write() {
  local file=$1 mode=$2 new="$1.new.$$"
  (umask 077 && cat >"$new") && chmod "$mode" "$new" || return
  if is_root; then chown --reference="$(dirname "$file")" "$new" || return; fi
  sync "$new" && mv -f "$new" "$file"
}

# wait_until SECONDS COMMAND...: polls ten times a second.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port_free() { ! port_taken "$1"; }

# require_port PORT WHAT SETTING: ends with a message that can be acted on.
require_port() {
  local holder=""
  port_free "$1" && return 0
  if command -v ss >/dev/null; then
    holder=$(ss -Hltnp "sport = :$1" 2>/dev/null | grep -o 'users:(("[^"]*",pid=[0-9]*' | head -n 1 |
      sed 's/users:(("\([^"]*\)",pid=\([0-9]*\)/ by \1, process \2/') || true
  fi
  die "port $1, wanted for $2, is taken$holder. Set $3 to a free port (or MILLRACE_PORT_BASE to move all)."
}

# Processes are known by a mark in their environment, not by a number in a file: a number may by
# now belong to somebody else, and a process may have lost its file.
MARK=MILLRACE_STACK_PROCESS

# marked NAME: ids of the living processes that were started with this mark. Looked for as the user
# that they run as: in a container even root may not read what belongs to others (CAP_SYS_PTRACE).
marked() {
  local file pid user
  user=$(mark_user "$1")
  { run_as "$user" / grep -lzxF -- "$MARK=$1" /proc/[0-9]*/environ 2>/dev/null || true; } | while read -r file; do
    pid=${file#/proc/}
    alive "${pid%/environ}" && printf '%s\n' "${pid%/environ}"
  done
}

mark_user() {
  case $1 in *:rabbitmq | *:epmd) mq_user ;; *) id -un ;; esac
}

any_marked() { [ -n "$(marked "$1")" ]; }
none_marked() { [ -z "$(marked "$1")" ]; }

# A zombie has ended; only its parent has not looked yet.
alive() {
  local state
  state=$(sed 's/.*) //;s/ .*//' "/proc/$1/stat" 2>/dev/null) || return 1
  [ -n "$state" ] && [ "$state" != Z ] && [ "$state" != X ]
}

# signal SIGNAL PID...: a process that is gone already is no error.
signal() {
  local sig=$1 pid
  shift
  for pid in "$@"; do kill "-$sig" "$pid" 2>/dev/null || true; done
}

# stop_marked NAME SECONDS: asks, waits, then insists.
stop_marked() {
  # shellcheck disable=SC2046 # one word per process
  signal TERM $(marked "$1")
  wait_until "$2" none_marked "$1" && return 0
  # shellcheck disable=SC2046
  signal KILL $(marked "$1")
  wait_until 10 none_marked "$1"
}

# daemon NAME USER DIR LOG COMMAND...: starts a marked process in a session of its own, so that
# neither Ctrl-C nor the end of `make` reaches it. As root it becomes USER first.
daemon() {
  local name=$1 user=$2 dir=$3 log=$4 drop=()
  shift 4
  if is_root && [ "$user" != root ]; then
    drop=(setpriv "--reuid=$user" "--regid=$(id -gn "$user")" --init-groups --)
  fi
  (
    cd "$dir" || exit
    exec setsid env "$MARK=$name" "${drop[@]}" "$@" 7>&- 8>&- 9>&-
  ) </dev/null >>"$log" 2>&1 &
  # Until the mark is there, nobody could tell that it runs.
  wait_until 10 marked_or_ended "$name" $! || die "$name was started, but is not to be seen in /proc."
}

marked_or_ended() { any_marked "$1" || ! alive "$2"; }

# run_as USER DIR COMMAND...
run_as() {
  local user=$1 dir=$2
  shift 2
  if is_root && [ "$user" != root ]; then
    (cd "$dir" && exec setpriv "--reuid=$user" "--regid=$(id -gn "$user")" --init-groups -- "$@")
  else
    (cd "$dir" && exec "$@")
  fi
}

# server_user NAME DIR: who runs the server with its data in DIR: the owner of what is there already.
# Servers never run as root: initdb refuses to.
server_user() {
  local owner
  owner=$(stat -c %U "$2" 2>/dev/null) || owner=root
  if ! is_root; then
    id -un
  elif [ "$owner" != root ] && getent passwd "$owner" >/dev/null; then
    printf '%s\n' "$owner"
  elif getent passwd "$1" >/dev/null; then
    printf '%s\n' "$1"
  else
    printf 'nobody\n'
  fi
}
