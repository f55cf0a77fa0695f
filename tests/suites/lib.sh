# What the suites share. Sourced; the working directory is the project's root.
# A suite counts with passed, failed, skipped, check and cargo_tests; tests/run adds the counts up.
# shellcheck shell=bash
set -eu

if [ -z "${PORTCULLIS_TEST_COUNTS:-}" ]; then
    echo "run this through tests/run" >&2
    exit 2
fi

passed() { echo "passed $1" >>"$PORTCULLIS_TEST_COUNTS"; }
failed() { echo "failed $*" >>"$PORTCULLIS_TEST_COUNTS"; echo "FAILED: $*"; }
# skipped N WHAT AND WHY
skipped() { echo "skipped $*" >>"$PORTCULLIS_TEST_COUNTS"; echo "skipped: $*"; }

# check NAME COMMAND…: one check, which passes where the command does.
check() {
    local name=$1
    shift
    echo "== $name: $*"
    if "$@"; then passed 1; else failed 1 "$name"; fi
}

# cargo_tests NAME COMMAND…: runs a command that prints cargo's test results, and counts each test.
cargo_tests() {
    local name=$1 output status=0
    shift
    output=$(mktemp)
    echo "== $name: $*"
    "$@" >"$output" 2>&1 || status=$?
    cat "$output"
    local p f i
    read -r p f i < <(awk '/^test result:/ { p += $4; f += $6; i += $8 } END { print p + 0, f + 0, i + 0 }' "$output")
    passed "$p"
    if [ "$f" -gt 0 ]; then
        failed "$f" "$name: $(awk '/^failures:$/ { on = 1; next } on && /^    [^ ]/ { printf "%s ", $1 } /^test result:/ { on = 0 }' "$output")"
    elif [ "$status" -ne 0 ]; then
        failed 1 "$name: ended with status $status"
    elif [ "$p" -eq 0 ]; then
        failed 1 "$name: no test ran"
    fi
    if [ "$i" -gt 0 ] && [ "${COUNT_IGNORED:-1}" = 1 ]; then skipped "$i" "$name: tests that say themselves when they can run"; fi
    rm -f "$output"
}

have() { command -v "$1" >/dev/null 2>&1; }

may_install() {
    [ "${PORTCULLIS_TEST_INSTALL:-1}" = 1 ] && [ "$(id -u)" -eq 0 ] && have apt-get
}

# need PROGRAM PACKAGE…: whether the program is there, installing Debian packages for it where that is allowed.
need() {
    local program=$1
    shift
    have "$program" && return 0
    may_install || return 1
    echo "== installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "$@" || { apt-get update && apt-get install -y --no-install-recommends "$@"; } || return 1
    have "$program"
}
