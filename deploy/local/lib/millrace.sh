# shellcheck shell=bash
bin_dir() { printf '%s/%s\n' "${CARGO_TARGET_DIR:-$ROOT/target}" "${PROFILE:-debug}"; }
