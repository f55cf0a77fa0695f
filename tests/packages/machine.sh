# Machines with Debian's own systemd, each in namespaces of its own. Sourced by the suites `packages` and `fleet`.
# shellcheck shell=bash disable=SC2154

# Of each machine: its init, and the process that ends with it.
declare -A inits=() outers=()

# make_debian FOLDER: the root that all machines begin with.
make_debian() {
    mmdebstrap --quiet --variant=essential --include=systemd,passwd,libpam-modules --dpkgopt=force-unsafe-io \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::http::Timeout "20"' bookworm "$1"
}

# The cgroup of version 2 that machines get theirs in.
cgroups() { awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts; }

# can_boot FOLDER: whether machines can be made here.
can_boot() {
    local own
    [ -n "$(cgroups)" ] || return 1
    own=$(cgroups)/portcullis-$$-try
    # What a run that was killed has left is empty.
    find "$(cgroups)" -depth -mindepth 1 -type d -path '*/portcullis-*' -exec rmdir {} + 2>/dev/null || true
    mkdir "$own" && rmdir "$own" && mkdir -p "$1/upper" "$1/root" || return 1
    unshare --pid --fork --kill-child --mount --uts --ipc --net --cgroup sh -ec "mount -t tmpfs tmpfs '$1/upper'
        mkdir '$1/upper/lower' '$1/upper/upper' '$1/upper/work'
        mount -t overlay overlay -o 'lowerdir=$1/upper/lower,upperdir=$1/upper/upper,workdir=$1/upper/work' '$1/root'"
}

# boot NAME MIB: starts a machine on a fresh copy of the root, whose disk has room for so much. Where there is a function `furnish`, it has put
# into the folder that it is given what the machine has besides.
boot() {
    local name=$1 folder=$work/$1 own outer init
    mkdir -p "$folder"
    mount -t tmpfs -o "size=$2m" tmpfs "$folder"
    mkdir "$folder/upper" "$folder/work" "$folder/root"
    if declare -F furnish >/dev/null; then furnish "$folder/upper"; fi
    mount -t overlay overlay -o "lowerdir=$debian,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
    cp tests/packages/inside.sh tests/packages/cases.sh "$folder/root/root/"
    echo "127.0.0.1 localhost $name" >"$folder/root/etc/hosts"
    own=$(cgroups)/portcullis-$$-$name
    mkdir "$own"
    (
        echo "$BASHPID" >"$own/cgroup.procs"
        exec unshare --pid --fork --kill-child --mount --uts --ipc --net --cgroup sh tests/packages/boot "$folder/root"
    ) >"$folder.log" 2>&1 </dev/null &
    outer=$!
    for _ in $(seq 300); do
        read -r init _ <"/proc/$outer/task/$outer/children" || true
        if [ -n "${init:-}" ] && [ "$(cat "/proc/$init/comm" 2>/dev/null)" = systemd ]; then break; fi
        sleep 0.1
    done
    inits[$name]=$init
    outers[$name]=$outer
    for _ in $(seq 300); do
        case $(inside "$name" 'systemctl is-system-running || true' 2>/dev/null) in
            running) return ;;
            degraded) inside "$name" 'systemctl --failed'; return 1 ;;
        esac
        sleep 0.1
    done
    cat "$folder.log"
    return 1
}

# inside NAME SCRIPT: runs a script of bash in the machine, which ends at the first command that fails.
inside() {
    nsenter -t "${inits[$1]}" -m -p -u -i -n -C env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive BASH_ENV=/root/inside.sh bash -eu -o pipefail -c "cd /root; $2" </dev/null
}

halt() {
    [ -n "${outers[$1]:-}" ] || return 0
    kill -KILL "${outers[$1]}" 2>/dev/null || true
    wait "${outers[$1]}" 2>/dev/null || true
    unset "outers[$1]"
    umount -l "$work/$1/root" "$work/$1" 2>/dev/null || true
    local own
    own=$(cgroups)/portcullis-$$-$1
    # Cgroups of a machine that is gone are empty, once the kernel has noticed.
    for _ in $(seq 50); do
        find "$own" -depth -type d -exec rmdir {} + 2>/dev/null || true
        [ -d "$own" ] || return 0
        sleep 0.1
    done
}
