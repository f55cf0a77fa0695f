# What scripts in a machine share. Sourced by bash there.
# shellcheck shell=bash

# eventually COMMAND…: waits until it succeeds, at most a minute.
eventually() {
    local ended=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$ended" ]; then
            echo "not within a minute: $*"
            "$@"
            return 1
        fi
        sleep 0.2
    done
}

# refuses TEXT COMMAND…: it fails, and says this.
refuses() {
    local said text=$1
    shift
    if said=$("$@" 2>&1); then
        echo "it was not refused: $*: $said"
        return 1
    fi
    echo "$said"
    grep -qF -- "$text" <<<"$said" || { echo "it does not say '$text'"; return 1; }
}

# no COMMAND…: it fails.
no() {
    if "$@"; then
        echo "this should have failed: $*"
        return 1
    fi
}

pid() { systemctl show -P MainPID "$1"; }
# exposure UNIT MOST: as systemd rates it.
exposure() {
    local rated found
    rated=$(systemd-analyze security --no-pager "$1")
    echo "$rated"
    found=$(sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\) .*/\1/p' <<<"$rated")
    awk -v found="$found" -v most="$2" 'BEGIN { exit !(found != "" && found <= most) }'
}
# The gateway's identity, and the server's.
identity() { sha256sum /var/lib/portcullis-gateway/keys /var/lib/portcullis/server.secret; portcullis-gateway key show; }
# A change of an account, to the end.
works() {
    portcullis gateway ping host1 --wait 1m
    portcullis account update accounts ada --set "full_name=Ada $1"
    getent passwd ada | grep -qF "Ada $1"
}

# shellcheck source=tests/packages/cases.sh
. /root/cases.sh
