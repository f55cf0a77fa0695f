# Hosts for the Ansible role: machines that begin with this one's own files. Sourced by the suite `fleet`.
# shellcheck shell=bash disable=SC2154

# The machine `central` with the server, and `host1` … `hostN`. Nothing of this machine's own services runs there, and none of its configuration of
# Portcullis is seen.
furnish() {
    local folder
    for folder in etc/systemd/system etc/init.d etc/rcS.d etc/rc2.d etc/rc3.d etc/rc4.d etc/rc5.d etc/portcullis root; do
        mkdir -p "$1/$folder"
        setfattr -n trusted.overlay.opaque -v y "$1/$folder"
    done
    chmod 700 "$1/root"
}

# The programs as packages, the same as those of the next minor version, and one of that which does not run.
make_packages() {
    local next=$1
    SOURCE_DATE_EPOCH=1700000000 deploy/linux/build --fast --programs "$target/debug" --out "$work/now" --version "$version" deb tar
    mkdir -p "$work/next" "$work/broken" "$work/deb"
    # What the programs say that they are stands in them, as a text of the same length.
    dpkg-deb --raw-extract "$work"/now/portcullis-gateway_*.deb "$work/deb"
    sed -i "s/^Version: .*/Version: $next/" "$work/deb/DEBIAN/control"
    LC_ALL=C sed -i "s/${version//./\\.}/$next/g" "$work/deb/usr/bin/portcullis-gateway"
    dpkg-deb -Znone --root-owner-group --build "$work/deb" "$work/next/portcullis-gateway_${next}_amd64.deb"
    tar -C "$work/next" -xzf "$work"/now/portcullis-"$version"-linux-*.tar.gz
    mv "$work"/next/portcullis-"$version"-linux-* "$work/next/tree"
    rm -r "$work/next/tree/portcullis" "$work/next/tree/portcullis-server"
    LC_ALL=C sed -i "s/${version//./\\.}/$next/g" "$work/next/tree/portcullis-gateway/usr/bin/portcullis-gateway"
    tar -C "$work/next" -I "gzip -1" -cf "$work/next/portcullis-$next-linux.tar.gz" tree
    printf '#!/bin/sh\ncase "$*" in *--version*) echo portcullis-gateway %s ;; *) exit 1 ;; esac\n' "$next" \
        >"$work/next/tree/portcullis-gateway/usr/bin/portcullis-gateway"
    tar -C "$work/next" -I "gzip -1" -cf "$work/broken/portcullis-$next-linux.tar.gz" tree
    [ "$(tar -xzOf "$work/next/portcullis-$next-linux.tar.gz" tree/portcullis-gateway/usr/bin/portcullis-gateway | grep -acF "$version")" = 0 ]
}

# Each host has a line of its own to the server.
start_machines() {
    local count=$1 number
    boot central 400 || return 1
    for number in $(seq "$count"); do
        boot "host$number" 300 || return 1
        ip link add "to$number" netns "${inits[central]}" type veth peer name eth0 netns "${inits[host$number]}" || return 1
        inside central "ip address add 10.77.$number.1/30 dev to$number && ip link set to$number up" || return 1
        inside "host$number" "ip address add 10.77.$number.2/30 dev eth0 && ip link set eth0 up" || return 1
    done
}

# The server, and a bundle and a token for each host.
start_server() {
    local count=$1 number files=$work/central/root/root
    cp "$work"/now/portcullis-server_*.deb "$work"/now/portcullis_*.deb "$files/"
    printf '[connectors.local]\ntype = "unix"\n' >"$files/connectors.toml"
    {
        echo name,address,groups
        for number in $(seq "$count"); do echo "host$number,10.77.$number.2,fleet;row$((number % 2))"; done
    } >"$files/gateways.csv"
    inside central 'dpkg -i ./*.deb && runuser -u portcullis -- portcullis-server init && systemctl start portcullis-server
        portcullis status --wait 30s
        portcullis gateway add --from gateways.csv --out bundles --tokens tokens --connectors connectors.toml'
    # Bundles hold no secret, and nothing is open to others.
    cat "$files"/tokens/*.token >"$work/secrets"
    if grep -rqF -f "$work/secrets" "$files/bundles"; then return 1; fi
    [ -z "$(find "$files/bundles" "$files/tokens" -perm /077)" ]
}

# inventory PACKAGES: of the hosts, with this version of the package; host1 has the .deb, the others the archive.
inventory() {
    local number host
    echo "[server]"
    echo "central ansible_inside_init=${inits[central]}"
    echo "[gateways]"
    for host in "${!inits[@]}"; do
        number=${host#host}
        case $host in
            central) ;;
            host1) echo "$host ansible_inside_init=${inits[$host]} portcullis_gateway_package=$(echo "$work/$1"/portcullis-gateway_*.deb)" ;;
            *) echo "$host ansible_inside_init=${inits[$host]} portcullis_gateway_package=$(echo "$work/$1"/portcullis-*linux*.tar.gz)" ;;
        esac
    done
    echo "[gateways:vars]"
    echo "portcullis_gateway_server=central"
    echo "portcullis_gateway_bundles=$work/central/root/root/bundles"
    echo "portcullis_gateway_tokens=$work/central/root/root/tokens"
    echo "[all:vars]"
    echo "ansible_connection=inside"
    echo "ansible_become=false"
    echo "ansible_python_interpreter=/usr/bin/python3"
}

# play INVENTORY [ARGUMENT…]: the role; what it did is in $work/played.
play() {
    local inventory=$1
    shift
    PYTHONDONTWRITEBYTECODE=1 ANSIBLE_CONNECTION_PLUGINS=$PWD/tests/fleet/connection ANSIBLE_NOCOLOR=1 ANSIBLE_RETRY_FILES_ENABLED=0 ANSIBLE_PIPELINING=1 ANSIBLE_FORKS=8 \
        ANSIBLE_LOCALHOST_WARNING=0 ANSIBLE_HOME=$work/ansible ANSIBLE_REMOTE_TMP=/tmp/ansible \
        ansible-playbook -i "$inventory" deploy/ansible/gateways.yml "$@" >"$work/played" 2>&1 || { cat "$work/played"; return 1; }
    tail -n 30 "$work/played"
}
changed() { awk '/^PLAY RECAP/ { on = 1; next } on && / : ok=/ { sub(/.*changed=/, ""); n += $1 } END { print n + 0 }' "$work/played"; }

# runs_version HOST VERSION
runs_version() { portcullis_said "gateway show $1 --output json" | python3 -c "import json, sys; sys.exit(json.load(sys.stdin)['version'] != '$2')"; }
portcullis_said() { inside central "portcullis $1"; }
