# What the suites share. Sourced; the working directory is the project's root.
# A suite counts with passed, failed, skipped, check, tests and findings; tests/run adds the counts up.
# shellcheck shell=bash
set -eu

if [ -z "${PORTCULLIS_TEST_COUNTS:-}" ]; then
    echo "this is run by tests/run: tests/run ${0##*/}" >&2
    exit 2
fi
target=$CARGO_TARGET_DIR

passed() { echo "passed $1" >>"$PORTCULLIS_TEST_COUNTS"; }
failed() { echo "failed $*" >>"$PORTCULLIS_TEST_COUNTS"; echo "FAILED: $*"; }
# skipped N WHAT AND WHY
skipped() { echo "skipped $*" >>"$PORTCULLIS_TEST_COUNTS"; echo "skipped: $*"; }

# deep A B: B in a run of full size, A in a short one.
deep() { if [ "${PORTCULLIS_TEST_DEEP:-0}" = 1 ]; then echo "$2"; else echo "$1"; fi; }
is_deep() { [ "${PORTCULLIS_TEST_DEEP:-0}" = 1 ]; }

# Hundredths of a second since the machine began; nobody sets this clock.
uptime_ticks() {
    local up rest
    read -r up rest </proc/uptime
    : "$rest"
    echo $((10#${up/./}))
}

# step NAME COMMAND…: runs the command, and keeps how long it took.
step() {
    local name=$1 began ended status=0
    began=$(uptime_ticks)
    shift
    "$@" || status=$?
    ended=$(uptime_ticks)
    printf '%d\t%s\t%s\n' $(((ended - began) / 10)) "$PORTCULLIS_TEST_NAME" "${name//[$'\t\n']/ }" >>"$PORTCULLIS_TEST_LOGS/steps"
    return $status
}

# check NAME COMMAND…: one check, which passes where the command does.
check() {
    local name=$1
    shift
    echo "== $name: $*"
    if step "$name" "$@"; then passed 1; else failed 1 "$name"; fi
}

# once NAME COMMAND…: for the first suite of a run that asks for it; for the others it is as it went then.
once() {
    local kept=$PORTCULLIS_TEST_LOGS/${1// /-}
    if [ ! -e "$kept.ended" ]; then
        echo "== $1"
        local status=0
        step "$1" "${@:2}" || status=$?
        echo $status >"$kept.ended"
    fi
    return "$(cat "$kept.ended")"
}

# What is compiled to look at the project, to test and to run it. A package that another program is not built with is never chosen by
# itself: that would compile what it shares with the others once more, with fewer features. The generator of proto/src/generated is
# built where it is used.
everything=(--workspace --exclude portcullis-generate)
dev_build() { once "development build" build_for_tests || { failed 1 "the development build"; exit 1; }; }
build_for_tests() {
    cargo test "${everything[@]}" --no-run --message-format=json-render-diagnostics >"$PORTCULLIS_TEST_LOGS/built-for-tests" &&
        cargo build "${everything[@]}" --bins --message-format=json-render-diagnostics >"$PORTCULLIS_TEST_LOGS/built-for-development" &&
        is_where_it_is_looked_for built-for-development "$target/debug/portcullis-server"
}
# is_where_it_is_looked_for LIST PROGRAM: else an older one that lies there would run.
is_where_it_is_looked_for() {
    grep -qF "\"executable\":\"$2\"" "$PORTCULLIS_TEST_LOGS/$1" && return
    echo "cargo has not built $2: does its configuration name a target (build.target) or another profile folder?"
    return 1
}
# What is installed, and the programs that the suites look at; with the paths of the libraries that they are linked from.
release_build() { once "release build" build_for_release || { failed 1 "the release build"; exit 1; }; }
build_for_release() {
    # As it is installed: an incremental build makes other machine code.
    CARGO_INCREMENTAL=0 cargo build --release --bins --package portcullis-server --package portcullis-cli --package portcullis-demo --package portcullis-gateway \
        --package portcullis-probes --message-format=json-render-diagnostics >"$PORTCULLIS_TEST_LOGS/built-for-release" &&
        is_where_it_is_looked_for built-for-release "$target/release/portcullis-server"
}
# released_library CRATE: the file of it that the programs of the release build are linked from.
released_library() {
    grep -F '"reason":"compiler-artifact"' "$PORTCULLIS_TEST_LOGS/built-for-release" | grep -oE "\"[^\"]*/lib$1-[^\"/]*\.rlib\"" | tail -n 1 | tr -d '"'
}

# test_programs PACKAGE NAME: the test programs of the packages and targets whose names match these regular expressions, each as
# its package's folder and its path. The target of the tests beside a library's code has the name of the crate.
test_programs() {
    sed -n '/"test":true},"features"/ s|.*"manifest_path":"\([^"]*\)/Cargo.toml".*"target":{[^}]*"name":"\([^"]*\)".*"executable":"\([^"]*\)".*|\1\t\2\t\3|p' \
        "$PORTCULLIS_TEST_LOGS/built-for-tests" |
        while IFS=$'\t' read -r folder name program; do
            package=$(sed -n 's/^name = "\(.*\)"/\1/p' "$folder/Cargo.toml" | head -n 1)
            if [[ $package =~ ^($1)$ && $name =~ ^($2)$ ]]; then printf '%s\t%s\n' "$folder" "$program"; fi
        done
}

# run_programs PACKAGE NAME [ARGUMENT…]: as `cargo test --no-fail-fast` does.
run_programs() {
    local status=0 folder program
    while IFS=$'\t' read -r folder program; do
        echo "-- ${program##*/}"
        (cd "$folder" && step "${program##*/}" "$program" "${@:3}" </dev/null) || status=$?
    done < <(test_programs "$1" "$2")
    return $status
}

# tests NAME COMMAND…: runs a command that prints results of Rust's tests, and counts each test.
tests() {
    local name=$1 output status=0
    shift
    output=$(mktemp)
    echo "== $name: $*"
    # Each program is a step of its own.
    if [ "$1" = run_programs ]; then "$@"; else step "$name" "$@"; fi >"$output" 2>&1 || status=$?
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

# findings NAME COMMAND…: runs a command that prints `ok: `, `FOUND: ` and `SKIPPED: ` lines, and counts each.
findings() {
    local name=$1 output status=0 ok found reason
    shift
    output=$(mktemp)
    echo "== $name: $*"
    step "$name" "$@" >"$output" 2>&1 || status=$?
    cat "$output"
    ok=$(grep -c '^ok: ' "$output" || true)
    found=$(sed -n 's/^FOUND: //p' "$output")
    reason=$(sed -n 's/^SKIPPED: //p' "$output")
    rm -f "$output"
    passed "$ok"
    if [ -n "$found" ]; then
        failed "$(wc -l <<<"$found")" "$name: ${found//$'\n'/, }"
    elif [ -n "$reason" ]; then
        skipped 1 "$name: ${reason//$'\n'/, }"
    elif [ "$status" -ne 0 ] || [ "$ok" -eq 0 ]; then
        failed 1 "$name: ended with status $status"
    fi
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
    step "installing $1" install_packages "$@" || return 1
    have "$program"
}

# Python with its whole standard library, which python3-minimal has not.
need_python() { need python3 python3 && python3 -c 'import json, tomllib' 2>/dev/null; }

apt=(apt-get -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o Acquire::Retries=1 -o DPkg::Lock::Timeout=120)
export DEBIAN_FRONTEND=noninteractive
# Nothing waits for the lock of the lists by itself.
update_lists() {
    local attempt said
    for attempt in 1 2 3 4 5 6; do
        said=$("${apt[@]}" update --error-on=any 2>&1) && return
        echo "$said"
        grep -q 'Could not get lock' <<<"$said" || return 1
        sleep $((5 * attempt))
    done
    return 1
}

install_packages() {
    "${apt[@]}" install -y --no-install-recommends "$@" && return
    # The lists may be old. Where they cannot be fetched, no later suite waits for that again.
    once "package lists" update_lists || return 1
    "${apt[@]}" install -y --no-install-recommends "$@"
}
