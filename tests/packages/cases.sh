# What the suite `packages` does in its machines: each function is a check. Sourced by inside.sh.
# shellcheck shell=bash

# Installed, it waits for init and for a token, and nothing has failed.
installed() {
    dpkg -i before/*.deb 2>&1 | tee said
    grep -q "runuser -u portcullis -- portcullis-server init" said
    grep -q "portcullis-gateway enroll" said
    for unit in portcullis-server portcullis-gateway; do
        systemctl is-enabled $unit
        [ "$(systemctl is-active $unit)" = inactive ]
    done
    [ "$(systemctl is-system-running)" = running ]
    [ "$(stat -c "%U %a" /var/lib/portcullis)" = "portcullis 700" ]
    # What a purge will ask has its words.
    echo "METAGET portcullis-gateway/remove-keys description" | debconf-communicate | grep "Remove the keys and the journal"
    echo "METAGET portcullis-server/remove-keys description" | debconf-communicate | grep "Remove the server's repository"
    ls /usr/share/man/man8/portcullis-gateway.8.gz /usr/share/man/man1/portcullis-gateway.1.gz /usr/share/bash-completion/completions/portcullis
}

# Init by the server user, and the server runs.
initialized() {
    refuses "start it as the owner" portcullis-server init
    runuser -u portcullis -- portcullis-server init
    systemctl start portcullis-server
    portcullis status
    [ "$(systemctl show -P NotifyAccess portcullis-server)" = main ]
}

# A token file that others can read is refused, and the gateway enrols with one that they cannot.
enrolled() {
    portcullis gateway add host1 --address localhost:9278 --token-file host1.token
    printf "[connectors.local]\ntype = \"unix\"\n" >>/etc/portcullis/gateway.toml
    chmod 644 host1.token
    refuses "chmod 0600 host1.token" portcullis-gateway enroll --token-file host1.token
    no [ -e /var/lib/portcullis-gateway/keys ]
    chmod 600 host1.token
    portcullis-gateway enroll --token-file host1.token
    systemctl start portcullis-gateway
    portcullis gateway ping host1 --wait 1m
}

# Calls change the accounts of the host.
called() {
    portcullis resource add accounts --gateway host1 --connector local
    portcullis resource test accounts
    printf "Correct-Horse-7\n" | portcullis account create accounts ada --set full_name="Ada Lovelace" --password-stdin
    [ "$(stat -c %U /home/ada)" = ada ]
    printf "Correct-Horse-7\n" | portcullis account authenticate accounts ada --password-stdin
    portcullis group create accounts poets --set members=ada
    id -nG ada | grep -w poets
    portcullis account create accounts gone
    # The unit does not hide from the gateway what runs.
    setpriv --reuid=gone --clear-groups sleep 600 &
    eventually grep "^Uid:[[:space:]]*$(id -u gone)" "/proc/$!/status"
    refuses "used by process" portcullis account delete accounts gone
    kill $!
    wait $! || true
    portcullis account delete accounts gone
    no getent passwd gone
}

# A second gateway on the host.
second() {
    sed "s|^state_dir = .*|state_dir = \"/var/lib/portcullis-gateway-two\"|; s|^address = .*|address = \"0.0.0.0:9288\"|" \
        /etc/portcullis/gateway.toml >/etc/portcullis/gateway-two.toml
    portcullis gateway add two --address localhost:9288 --token-file two.token
    portcullis-gateway --config /etc/portcullis/gateway-two.toml enroll --token-file two.token
    systemctl enable --now portcullis-gateway@two
    portcullis gateway ping two --wait 1m
}

# Within its unit the server lets in who is in the group of its socket, replaces its secret, and writes an audit log that holds.
shared() {
    useradd --groups portcullis alice
    sed -i 's|^socket_group = .*|socket_group = "portcullis"|; s|^auditor = .*|auditor = ["user:alice"]|' /etc/portcullis/server.toml
    systemctl restart portcullis-server
    runuser -u alice -- portcullis gateway list
    refuses "capability" runuser -u alice -- portcullis gateway remove two
    refuses "/run/portcullis/admin.sock" runuser -u nobody -- portcullis status
    sha256sum /var/lib/portcullis/server.secret >secret.before
    portcullis key protect pbe
    refuses "FAILED" sha256sum -c secret.before
    systemctl restart portcullis-server
    portcullis audit verify
    works shared
}

# A relay as a service carries a link.
relayed() {
    printf '[forward.host1]\nlisten = "127.0.0.1:9301"\ntarget = "127.0.0.1:9278"\n' >/etc/portcullis/relay.toml
    systemctl enable --now portcullis-relay
    portcullis gateway set host1 --address 127.0.0.1:9301
    works "through a relay"
    exposure portcullis-relay 1.2
}

# Exposure of the server at most 1.5.
exposed_server() {
    exposure portcullis-server 1.5
}

# Exposure of a gateway in one process at most 2.8.
exposed_gateway() {
    exposure portcullis-gateway 2.8
    exposure portcullis-gateway@two 2.8
}

# A gateway in processes: what faces the servers has no capability, changes go through the privileged worker, and back again.
divided() {
    local before unit
    before=$(sha256sum /var/lib/portcullis-gateway/keys)
    /usr/share/portcullis-gateway/in-processes on
    works "in processes"
    for unit in portcullis-gateway portcullis-gateway-networked; do
        grep -P "^CapEff:\t0+$" "/proc/$(pid $unit)/status"
        grep -P "^CapBnd:\t0+$" "/proc/$(pid $unit)/status"
        exposure $unit 1.5
    done
    exposure portcullis-gateway-privileged 2
    for unit in gateway gateway-networked; do
        [ "$(awk '/^Uid:/ { print $2 }' "/proc/$(pid portcullis-$unit)/status")" = "$(id -u "portcullis-${unit#gateway-}")" ]
    done
    # It has no network, and the others do not read its files, nor the master key.
    [ "$(readlink "/proc/$(pid portcullis-gateway-privileged)/ns/net")" != "$(readlink /proc/1/ns/net)" ]
    no runuser -u portcullis-networked -- cat /var/lib/portcullis-gateway/keys
    no runuser -u portcullis-gateway -- cat /var/lib/portcullis-worker-privileged/journal.key
    portcullis account create accounts parted
    [ "$(stat -c %U /home/parted)" = parted ]
    portcullis account delete accounts parted
    # Commands of root go on as before, on files of other users.
    portcullis-gateway status | grep "worker       privileged running"
    portcullis-gateway journal show --worker privileged | grep "without an end"
    systemctl reload portcullis-gateway
    portcullis-gateway key show
    # However often it crashes, it comes back: systemd by itself gives up after five times.
    local crash
    for crash in $(seq 6); do
        eventually sh -c 'systemctl -q is-active portcullis-gateway-privileged && systemctl kill -s KILL portcullis-gateway-privileged'
    done
    eventually works "after $crash crashes"
    /usr/share/portcullis-gateway/in-processes on | grep "nothing to do"
    /usr/share/portcullis-gateway/in-processes off
    no systemctl is-active portcullis-gateway-privileged
    no grep '^\[workers\]' /etc/portcullis/gateway.toml
    works "in one process"
    sha256sum -c <<<"$before"
    # The second stays so, also through what follows.
    refuses "instance" /usr/share/portcullis-gateway/in-processes on two
    sed -i 's|^instance = .*|instance = "two"|' /etc/portcullis/gateway-two.toml
    /usr/share/portcullis-gateway/in-processes on two
    portcullis gateway ping two --wait 1m
    exposure portcullis-gateway@two 1.5
}

# A reload is told to systemd, with what is wrong.
reloaded() {
    systemctl reload portcullis-server portcullis-gateway
    cp /etc/portcullis/gateway.toml kept
    echo "colour = 1" >>/etc/portcullis/gateway.toml
    refuses "portcullis-gateway.service" systemctl reload portcullis-gateway
    eventually sh -c "journalctl -u portcullis-gateway | grep colour"
    cp kept /etc/portcullis/gateway.toml
    systemctl reload portcullis-gateway
    works reloaded
}

# A restart lets the programs of a call under way come to their end.
restarted() {
    local usermod call
    usermod=$(command -v usermod)
    portcullis account create accounts slow
    mv "$usermod" "$usermod.real"
    printf '#!/bin/sh\ntouch /run/usermod.runs\nsleep 2\nexec %s "$@"\n' "$usermod.real" >"$usermod"
    chmod 755 "$usermod"
    portcullis account disable accounts slow &
    call=$!
    eventually test -e /run/usermod.runs
    systemctl restart portcullis-gateway
    mv "$usermod.real" "$usermod"
    wait "$call"
    works restarted
    portcullis account delete accounts slow
}

# Programs that hang are started again by the watchdog.
watched() {
    for unit in portcullis-server portcullis-gateway; do
        mkdir -p /run/systemd/system/$unit.service.d
        printf "[Service]\nWatchdogSec=6s\nRestartSec=100ms\n" >/run/systemd/system/$unit.service.d/quick.conf
    done
    systemctl daemon-reload
    systemctl restart portcullis-server portcullis-gateway
    kill -STOP "$(pid portcullis-server)" "$(pid portcullis-gateway)"
    for unit in portcullis-server portcullis-gateway; do
        eventually sh -c "[ \$(systemctl show -P NRestarts $unit) -ge 1 ]"
    done
    rm -r /run/systemd/system/*.d
    systemctl daemon-reload
    systemctl restart portcullis-server portcullis-gateway
    works watched
}

# An upgrade while calls run: each has one outcome, and no identity changes.
upgraded() {
    identity >identity.before
    { for n in $(seq 1 40); do
        eventually portcullis account create accounts "load$n" --queue --call-id "load-$n"
    done; } >load 2>&1 &
    eventually getent passwd load5
    server=$(pid portcullis-server) gateway=$(pid portcullis-gateway) two=$(pid portcullis-gateway@two) relay=$(pid portcullis-relay)
    dpkg -i now/*.deb
    wait $! || { cat load; exit 1; }
    [ "$(pid portcullis-server)" != "$server" ]
    [ "$(pid portcullis-gateway)" != "$gateway" ]
    [ "$(pid portcullis-gateway@two)" != "$two" ]
    [ "$(pid portcullis-relay)" != "$relay" ]
    dpkg-query -W -f "\${Version}\n" portcullis-server portcullis-gateway portcullis | sort -u | grep -x 1.1.0
    portcullis call wait $(seq -f "load-%g" 1 40)
    for n in $(seq 1 40); do getent passwd "load$n" >/dev/null; done
    portcullis call list --all | tail -n 5
    identity | diff identity.before -
    works upgraded
    portcullis audit verify
    portcullis gateway ping two --wait 1m
}

# A server that does not start after an upgrade is told of by the package.
told() {
    cp /etc/portcullis/server.toml kept
    echo "colour = 1" >>/etc/portcullis/server.toml
    dpkg --force-confold -i now/portcullis-server_*.deb 2>&1 | tee said
    grep "the server does not run after the upgrade from 1.1.0" said
    journalctl -u portcullis-server -n 20 | grep "colour"
    cp kept /etc/portcullis/server.toml
    systemctl restart portcullis-server
    works "mended"
}

# Rolled back, and everything is there.
rolled_back() {
    sed -i "1i # edited here" /etc/portcullis/server.toml
    dpkg --force-confold -i before/*.deb
    head -n 1 /etc/portcullis/server.toml | grep "edited here"
    identity | diff identity.before -
    works "rolled back"
}

# Half installed: what ran goes on, and dpkg finishes it.
half_installed() {
    gateway=$(pid portcullis-gateway)
    dpkg --unpack now/portcullis-gateway_*.deb
    dpkg --audit | grep portcullis-gateway
    [ "$(pid portcullis-gateway)" = "$gateway" ]
    works "half installed"
    dpkg --configure -a
    [ "$(pid portcullis-gateway)" != "$gateway" ]
    identity | diff identity.before -
    works "whole again"
}

# A full disk: the upgrade fails and says so, what ran goes on.
full_disk() {
    free=$(df --output=avail -k / | tail -n 1)
    fallocate -l $((free - 4096))K filler
    refuses "No space left on device" dpkg -i now/portcullis-server_*.deb
    dpkg-query -W -f "\${Version}\n" portcullis-server | grep -x 1.0.0
    works "on a full disk"
    rm filler
    dpkg -i now/portcullis-server_*.deb
    identity | diff identity.before -
    works "with room"
}

# The secret as an encrypted credential, and the unit without it.
credential() {
    mkdir -p /etc/credstore.encrypted /etc/systemd/system/portcullis-server.service.d
    systemd-creds setup
    systemd-creds encrypt --with-key=host --name=portcullis /var/lib/portcullis/server.secret /etc/credstore.encrypted/portcullis
    printf "[Service]\nLoadCredentialEncrypted=portcullis:/etc/credstore.encrypted/portcullis\n" >/etc/systemd/system/portcullis-server.service.d/secret.conf
    sed -i "s|^secret_file = .*||; s|^secret_credential = .*|secret_credential = \"portcullis\"|" /etc/portcullis/server.toml
    mv /var/lib/portcullis/server.secret kept.secret
    systemctl daemon-reload
    systemctl restart portcullis-server
    works "by credential"
    mv /etc/credstore.encrypted/portcullis kept.credential
    refuses "portcullis-server.service" systemctl restart portcullis-server
    journalctl -u portcullis-server -n 20 | grep 243/CREDENTIALS
    mv /etc/systemd/system/portcullis-server.service.d/secret.conf kept.conf
    systemctl daemon-reload
    refuses "portcullis-server.service" systemctl restart portcullis-server
    journalctl -u portcullis-server -n 20 | grep "LoadCredentialEncrypted=portcullis:FILE"
    mv kept.conf /etc/systemd/system/portcullis-server.service.d/secret.conf
    mv kept.credential /etc/credstore.encrypted/portcullis
    systemctl daemon-reload
    systemctl restart portcullis-server
    works "by credential again"
    mv kept.secret /var/lib/portcullis/server.secret
}

# `portcullis-gateway key show` in a unit of its own that has this credential: what `systemd-run` does where there is D-Bus.
shows_keys() {
    local ended=0
    printf "[Service]\nType=oneshot\nLoadCredentialEncrypted=key-store:%s\nExecStart=%s key show\nStandardOutput=truncate:/root/shown.out\nStandardError=truncate:/root/shown.err\n" \
        "$1" "$(command -v portcullis-gateway)" >/run/systemd/system/shows-keys.service
    systemctl daemon-reload
    systemctl start shows-keys || ended=$?
    cat /root/shown.out /root/shown.err
    return $ended
}

# The gateway's keys sealed under an encrypted credential, which is needed from then on, and beside the service as root.
credential_gateway() {
    local dropin=/etc/systemd/system/portcullis-gateway.service.d encrypted=/etc/credstore.encrypted/portcullis-gateway keys=/var/lib/portcullis-gateway/keys
    mkdir -p /etc/credstore.encrypted $dropin
    cp -p $keys kept.keys
    cp /etc/portcullis/gateway.toml kept.toml
    head -c 32 /dev/urandom | base64 >store.secret
    systemd-creds encrypt --with-key=host --name=key-store store.secret $encrypted
    printf "[Service]\nLoadCredentialEncrypted=key-store:%s\n" $encrypted >$dropin/key-store.conf
    sed -i 's|^secret_credential = .*|secret_credential = "key-store"|' /etc/portcullis/gateway.toml
    systemctl daemon-reload
    systemctl restart portcullis-gateway
    works "with sealed keys"
    [ "$(head -c 7 $keys)" = PCGKSEA ]
    portcullis-gateway key show
    systemctl restart portcullis-gateway
    works "with sealed keys again"
    # Without the credential, and with another one, it does not start, and says so.
    mv $dropin/key-store.conf kept.conf
    systemctl daemon-reload
    refuses "portcullis-gateway.service" systemctl restart portcullis-gateway
    journalctl -u portcullis-gateway -n 20 | grep "LoadCredentialEncrypted=key-store:FILE"
    refuses "LoadCredentialEncrypted=key-store:FILE" portcullis-gateway key show
    shows_keys $encrypted
    head -c 32 /dev/urandom | base64 >other.secret
    systemd-creds encrypt --with-key=host --name=key-store other.secret other.credential
    refuses "another secret" shows_keys /root/other.credential
    # Back to the plain keys, which the cases after this compare.
    cp -p kept.keys $keys
    cp kept.toml /etc/portcullis/gateway.toml
    systemctl restart portcullis-gateway
    works "with plain keys"
}

# Removed: nothing runs, keys and configuration stay, and installed again it works.
removed() {
    dpkg -r portcullis-gateway portcullis-server
    for unit in portcullis-server portcullis-relay portcullis-gateway portcullis-gateway@two; do
        no systemctl is-active $unit
    done
    ls /etc/portcullis/server.toml /etc/portcullis/gateway.toml /var/lib/portcullis/portcullis.db
    grep "^[0-9a-f]*  /" identity.before | sha256sum -c
    dpkg -i now/*.deb
    systemctl start portcullis-relay
    works "installed again"
}

# Purged without an answer, the keys are kept, and it says where.
purged_unasked() {
    dpkg -P portcullis-gateway 2>&1 | tee said
    grep "the keys are kept, in /var/lib/portcullis-gateway /var/lib/portcullis-gateway-two" said
    [ -s /var/lib/portcullis-gateway/keys ]
    [ -s /var/lib/portcullis-gateway-two/keys ]
    no [ -e /etc/portcullis/gateway.toml ]
}

# Purged with the answer, they go.
purged_asked() {
    echo "portcullis-server portcullis-server/remove-keys boolean true" | debconf-set-selections
    dpkg -P portcullis-server
    no [ -e /var/lib/portcullis ]
    no [ -e /var/lib/portcullis-audit ]
    ls /var/lib/portcullis-gateway/keys
}

# The archive installs, and runs.
archive_installed() {
    cd /root/portcullis-1*/ || exit
    ./install
    runuser -u portcullis -- portcullis-server init
    systemctl enable --now portcullis-server
    portcullis gateway add host1 --address localhost:9278 --token-file host1.token
    printf "[connectors.local]\ntype = \"unix\"\n" >>/etc/portcullis/gateway.toml
    portcullis-gateway enroll --token-file host1.token
    systemctl enable --now portcullis-gateway
    portcullis gateway ping host1 --wait 1m
    portcullis resource add accounts --gateway host1 --connector local
    portcullis account create accounts ada
    second
    works installed
}

# Installed anew, it restarts and keeps the configuration; removed, it keeps the state.
archive_removed() {
    cd /root/portcullis-1*/ || exit
    identity >/root/identity.before
    gateway=$(pid portcullis-gateway) two=$(pid portcullis-gateway@two)
    ./install
    [ "$(pid portcullis-gateway)" != "$gateway" ]
    [ "$(pid portcullis-gateway@two)" != "$two" ]
    grep -F "[connectors.local]" /etc/portcullis/gateway.toml
    ls /etc/portcullis/gateway.toml.new
    works "installed anew"
    identity | diff /root/identity.before -
    ./install --remove
    no [ -e /usr/local/bin/portcullis-gateway ]
    no [ -e /etc/systemd/system/portcullis-server.service ]
    no systemctl is-active portcullis-gateway
    no systemctl is-active portcullis-gateway@two
    no [ -e /etc/systemd/system/multi-user.target.wants/portcullis-gateway@two.service ]
    grep "^[0-9a-f]*  /" /root/identity.before | sha256sum -c
}
