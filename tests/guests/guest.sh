#!/bin/bash
# What runs in each of the two guests of scripts/guest-proof, as root, once it has booted: host 1 and
# host 2, from bare Debian to the first backup of a cluster that spans them, by the commands of
# docs/deploy.md. /exchange is the one folder that both share with the machine that runs them.
#
# Each line of /exchange/report.ID is "shown", "not shown" or "FAILED", and what.
set -euo pipefail
id=$(sed -n 's/.*guest=\([12]\).*/\1/p' /proc/cmdline)
other=$((3 - id))
exchange=/exchange
report=$exchange/report.$id
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:$PATH

shown() { echo "shown: host $id: $*" | tee -a "$report"; }
not_shown() { echo "not shown: host $id: $*" | tee -a "$report"; }
fail() {
    echo "FAILED: host $id: $*" | tee -a "$report"
    journalctl --no-pager -u "penstock@$id" -n 30 2>/dev/null | tee -a "$exchange/log.$id" || true
    touch "$exchange/failed"
    exit 1
}
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
set -E

# until_true COMMAND…: within ten minutes; the processors are emulated, and others may want them.
until_true() {
    local end=$((SECONDS + 600))
    until "$@" >/dev/null 2>&1; do
        [ ! -e "$exchange/failed" ] || exit 1
        [ "$SECONDS" -lt "$end" ] || fail "not within 600 s: $*"
        sleep 0.2
    done
}

# Both have come so far.
meet() { # NAME
    touch "$exchange/at.$1.$id"
    until_true test -e "$exchange/at.$1.$other"
}

# ---- the machine ----

# The interface that the machine gives address ..:KIND:ID; its PCI function.
interface_of() { # KIND: 01, of the kernel; 02, for a node
    local address
    for address in /sys/class/net/*/address; do
        [ "$(cat "$address")" != "52:54:00:00:$1:0$id" ] || basename "${address%/address}"
    done
}
function_of() { basename "$(readlink -f "/sys/class/net/$1/device" | sed 's,/virtio[0-9]*$,,')"; } # INTERFACE
disk_of() { # SERIAL
    local controller
    for controller in /sys/class/nvme/*; do
        [ "$(tr -d ' ' <"$controller/serial")" != "$1" ] || echo "/dev/${controller##*/}n1"
    done
}
node_of() { cat "/sys/class/nvme/$(basename "${1%n1}")/device/numa_node"; } # DISK
cpus_of() { cat "/sys/devices/system/node/node$1/cpulist"; }               # NUMA NODE

# Host 1 writes its backups to the disk of NUMA node 1, host 2 to that of node 0.
mount_disks() {
    backup_node=$((2 - id)) source_node=$((id - 1))
    backup_disk=$(disk_of "nv$backup_node")
    local source_disk
    source_disk=$(disk_of "nv$source_node")
    [ "$(node_of "$backup_disk")" = "$backup_node" ] || fail "$backup_disk is near NUMA node $(node_of "$backup_disk")"
    mkfs.ext4 -q -E nodiscard "$backup_disk"
    mkfs.ext4 -q -E nodiscard "$source_disk"
    mkdir -p /srv/data /var/backups
    mount "$source_disk" /srv/data
    mount "$backup_disk" /var/backups
    rmdir /srv/data/lost+found /var/backups/lost+found
}

the_machine() {
    local node
    for node in 0 1; do
        echo "host $id: NUMA node $node: CPUs $(cpus_of "$node"), $(awk '/MemTotal/ { print int($4 / 1024) }' "/sys/devices/system/node/node$node/meminfo") MiB"
    done
    kernel_nic=$(interface_of 01)
    node_nic=$(interface_of 02)
    function=$(function_of "$node_nic")
    shown "Debian $(cat /etc/debian_version), Linux $(uname -r), 2 NUMA nodes, interfaces $kernel_nic and $node_nic ($function)"
}

# ---- bare Debian to a node ----

# Host 1 by the package, host 2 without.
documentation=/usr/share/doc/penstock
install_penstock() {
    if [ "$id" = 1 ]; then
        dpkg --install "$exchange"/packages/penstock_*.deb
    else
        documentation=/usr/local/share/doc/penstock
        cp -a "$exchange/install/." /
        ldconfig
    fi
    penstock --version
}

set_up_host() {
    penstock-setup-host --check && fail 'a bare host lacks nothing'
    penstock-setup-host --hugepages 64
    penstock-setup-host --check >/dev/null
    shown 'penstock-setup-host: from nothing to complete'
}

# Files of user penstock go from host to host with the numbers that it has here.
agree_on_user() {
    local uid gid
    [ "$id" = 2 ] || echo "$(id -u penstock) $(id -g penstock)" >"$exchange/user"
    meet user
    read -r uid gid <"$exchange/user"
    [ "$(id -u penstock) $(id -g penstock)" != "$uid $gid" ] || return 0
    groupmod -g "$gid" penstock
    usermod -u "$uid" penstock
    chown penstock:penstock /run/penstock
}

make_sources() {
    local i
    mkdir -p /srv/data/files/deep
    for i in {1..150}; do head -c $((RANDOM * 2)) /dev/urandom >"/srv/data/files/$i"; done
    head -c 20000000 /dev/urandom >/srv/data/files/large
    truncate -s 8M /srv/data/files/sparse
    ln -s ../large /srv/data/files/deep/link
    ln /srv/data/files/1 /srv/data/files/deep/hard
    install -d -o penstock -g penstock -m 700 /srv/data/db
    chown -R penstock:penstock /srv/data/files
    setpriv --reuid=penstock --regid=penstock --clear-groups -- "$exchange/lmdb_writer" replay /srv/data/db 20
    install -d -o penstock -g penstock -m 700 /var/backups/penstock
}

# A firewall that lets nothing in, and then what docs/deploy.md opens.
close_firewall() {
    nft -f - <<'END'
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
    }
}
END
    nft add rule inet filter input ip saddr 10.20.0.0/24 udp dport 7420 counter accept
}

configure() {
    ip address add "10.20.0.1$id/24" dev "$kernel_nic"
    ip link set "$kernel_nic" up
    close_firewall
    mkdir -p /etc/penstock
    if [ "$id" = 1 ]; then
        penstock keygen /etc/penstock/cluster.key
        cp /etc/penstock/cluster.key "$exchange/cluster.key"
    fi
    meet key
    [ "$id" = 1 ] || install -m 600 "$exchange/cluster.key" /etc/penstock/cluster.key
    chown root:penstock /etc/penstock/cluster.key
    chmod 640 /etc/penstock/cluster.key
    sed "s/ID/$id/" >"/etc/penstock/$id.ini" <<'END'
[node]
cluster = accounts
id = ID
member = 1=10.20.0.11
member = 2=10.20.0.12
cluster-key = /etc/penstock/cluster.key
socket = /run/penstock/ID.socket
source = files=dir:/srv/data/files
source = db=lmdb:/srv/data/db
to = /var/backups/penstock
# The processors of these hosts are emulated, and slow.
failure = 10s
END
}

# As the unit runs it.
as_penstock() {
    (ulimit -l unlimited && exec setpriv --reuid=penstock --regid=penstock --init-groups -- "$@")
}

sees() { # JQ_FILTER
    penstock status --node "/run/penstock/$id.socket" --json | jq -e "$1"
}
both_live='([.nodes[] | select(.state == "live")] | length) == 2'

start_node() {
    systemctl daemon-reload
    systemctl start "penstock@$id"
    until_true sees "$both_live"
}

# ---- a backup ----

list_tree() { # DIRECTORY
    (cd "$1" && find . -printf '%p %y %m %u %g %T@ %n %l\n' | sort && find . -type f -exec sha256sum {} + | sort -k 2)
}

# Waits for a backup that node 1 was asked for, and collects all directories at host 1.
back_up_and_restore() { # NAME
    local collected=/srv/data/collected number tree
    list_tree /srv/data/files >"$exchange/files.$id"
    "$exchange/lmdb_writer" check /srv/data/db >"$exchange/db.$id"
    meet "sources-$1"
    if [ "$id" = 1 ]; then
        penstock backup --node /run/penstock/1.socket --json >"$exchange/backup.$1" 2>&1 || fail "the backup exits with $?: $(tail -n 3 "$exchange/backup.$1")"
        grep '"summary"' "$exchange/backup.$1" | jq -c .
    fi
    meet "backup-$1"
    number=$(grep '"message_type":"summary"' "$exchange/backup.$1" | jq .number)
    rm -rf "$exchange/collected.$id"
    cp -r /var/backups/penstock "$exchange/collected.$id"
    meet "collected-$1"
    if [ "$id" = 2 ]; then
        rm -rf /srv/data/own
        penstock restore --from /var/backups/penstock "$number" --only 2 --target /srv/data/own
        list_tree /srv/data/own/files | diff "$exchange/files.2" - || fail 'its own share is not as it was'
        return
    fi
    penstock verify --from "$exchange/collected.1" --from "$exchange/collected.2"
    rm -rf "$collected"
    penstock restore --from "$exchange/collected.1" --from "$exchange/collected.2" --target "$collected"
    for tree in 1 2; do
        list_tree "$collected/$tree/files" | diff "$exchange/files.$tree" - || fail "the files of host $tree are not as they were"
        "$exchange/lmdb_writer" check "$collected/$tree/db" | diff "$exchange/db.$tree" - || fail "the database of host $tree is not as it was"
    done
    shown "$1: a backup of both hosts is complete, verified, and restored with the contents of both"
}

# ---- backups by the clock ----

nightly_backups() { # STATE JQ_FILTER: of the last one, and of their numbers
    [ "$(systemctl show -P Result penstock-backup@daily)" = "$1" ] &&
        penstock list --from /var/backups/nightly --json | jq -es "[.[].number] | $2"
}

journal_has() { journalctl --sync && [ -n "$(journalctl -q -o cat "$@")" ]; } # FIELD=VALUE…

# One by hand, one that fails, one by the timer; only the newest one stays.
by_the_clock() {
    install -d -m 700 /var/backups/nightly
    cat >/etc/penstock/daily.ini <<'END'
[backup]
source = files=dir:/srv/data/files
source = db=lmdb:/srv/data/db
to = /var/backups/nightly
label = nightly

[prune]
from = /var/backups/nightly
keep-last = 1
END
    systemctl start penstock-backup@daily || fail "penstock-backup@: $(journalctl --no-pager -u penstock-backup@daily -n 5)"
    nightly_backups success '. == [1]'
    if journalctl -u penstock-backup@daily | grep 'may not'; then fail 'a right is missing for penstock-backup@'; fi
    journal_has MESSAGE_ID=e267c5c2483d8715493c2ad828a07723 PENSTOCK_BACKUP=1 _SYSTEMD_UNIT=penstock-backup@daily.service ||
        fail 'the journal has no event of the backup that was made'
    penstock verify --from /var/backups/nightly
    sed -i.good 's,dir:/srv/data/files,dir:/srv/data/none,' /etc/penstock/daily.ini
    if systemctl start penstock-backup@daily; then fail 'a backup that fails is none to penstock-backup@'; fi
    nightly_backups exit-code '. == [1]'
    journal_has MESSAGE_ID=f46484f908093b4458a7e4146f4c4f65 PRIORITY=3 _SYSTEMD_UNIT=penstock-backup@daily.service ||
        fail 'the journal has no event of the backup that failed'
    shown 'events of penstock-backup@ in the journal, by MESSAGE_ID and PENSTOCK_BACKUP'
    mv /etc/penstock/daily.ini.good /etc/penstock/daily.ini
    systemctl reset-failed penstock-backup@daily
    mkdir -p /etc/systemd/system/penstock-backup@daily.timer.d
    printf '[Timer]\nOnCalendar=\nOnActiveSec=1s\nAccuracySec=1s\nRandomizedDelaySec=0\n' >/etc/systemd/system/penstock-backup@daily.timer.d/soon.conf
    systemctl daemon-reload
    systemctl enable --now penstock-backup@daily.timer
    until_true nightly_backups success '. == [2]'
    shown 'penstock-backup@.timer: a backup of both sources by root without root'"'"'s rights; the one before it is pruned'
}

# What is left when the package goes.
purge_package() {
    dpkg --purge penstock
    [ -z "$(systemctl list-units --state=active,activating --plain --no-legend 'penstock*')" ] || fail 'units are left'
    [ -z "$(find /etc/systemd/system -name 'penstock*' -type l)" ] || fail 'enabled units are left'
    [ -e /etc/penstock/daily.ini ] || fail 'configurations are gone'
    shown 'the package is purged, and nothing of it runs or is enabled'
}

# ---- one directory for both ----

mount_share() { # OPTIONS
    mkdir -p /mnt/shared
    mount -t nfs -o "$1,hard" 10.20.0.11:/var/backups/shared /mnt/shared
}

# A backup into one directory, with this node's path of it. Host 1 has the exit code in $code.
back_up_shared() { # NAME PATH
    sed -i "s,^to = .*,to = $2," "/etc/penstock/$id.ini"
    meet "configured-$1"
    start_node
    invocation=$(systemctl show -P InvocationID "penstock@$id")
    meet "started-$1"
    code=0
    [ "$id" = 2 ] || penstock backup --node /run/penstock/1.socket >"$exchange/backup.$1" 2>&1 || code=$?
    meet "backup-$1"
    systemctl stop "penstock@$id"
    meet "stopped-$1"
}

is_refused() { # NAME PATH
    back_up_shared "$1" "$2"
    [ "$id" = 2 ] || [ "$code" -eq 1 ] || fail "$1: the backup exits with $code: $(tail -n 5 "$exchange/backup.$1")"
    journalctl _SYSTEMD_INVOCATION_ID="$invocation" | grep 'the file system keeps the locks of a host to that host' >"$exchange/log.$1.$id" || true
    meet "refused-$1"
    grep -q . "$exchange/log.$1.1" "$exchange/log.$1.2" || fail "$1: no log says why the backup is refused"
}

# NFS keeps locks of files for all of its clients, but the server's own flock(2) is not among them, and with
# nolock no host's is.
share_by_nfs() {
    if [ "$id" = 1 ]; then
        install -d -o penstock -g penstock -m 700 /var/backups/shared
        echo '/var/backups/shared 10.20.0.0/24(rw,sync,no_subtree_check)' >/etc/exports
        printf '[mountd]\nport=20048\n' >/etc/nfs.conf.d/guest.conf
        nft add rule inet filter input ip saddr 10.20.0.0/24 tcp dport '{ 2049, 20048 }' accept
        systemctl unmask --quiet rpcbind nfs-server
        systemctl start rpcbind nfs-server
    fi
    meet exported

    [ "$id" = 1 ] || mount_share vers=4.2
    is_refused server "$([ "$id" = 1 ] && echo /var/backups/shared || echo /mnt/shared)"
    shown 'a directory that one node has on its disk and the other by NFS: the backup is refused, and a log says why'

    [ "$id" = 2 ] || mount_share vers=4.2
    back_up_shared nfs /mnt/shared
    if [ "$id" = 1 ]; then
        [ "$code" -eq 0 ] || fail "nfs: the backup exits with $code: $(tail -n 5 "$exchange/backup.nfs")"
        as_penstock penstock verify --from /mnt/shared
    fi
    shown 'a directory that both have by NFS 4.2: the backup is complete and verified'
    umount /mnt/shared

    mount_share vers=3,nolock,proto=tcp,port=2049,mountproto=tcp,mountport=20048
    is_refused nolock /mnt/shared
    shown 'the same by NFS 3 with nolock: the backup is refused, and a log says why'
    umount /mnt/shared
    sed -i 's,^to = .*,to = /var/backups/penstock,' "/etc/penstock/$id.ini"
    meet unshared
    [ "$id" = 2 ] || systemctl stop nfs-server
}

# ---- a node that is killed while a source is frozen ----

freeze_and_die() {
    local config=/etc/penstock/alone.ini
    cat >"$config" <<'END'
[node]
cluster = alone
id = 1
nodes = 1
socket = /run/penstock/alone.socket
source = files=dir:/srv/data/files
to = /var/backups/alone
freeze-command = touch /run/penstock/frozen && sleep 8
thaw-command = touch /run/penstock/thawed
END
    install -d -o penstock -g penstock -m 700 /var/backups/alone
    systemctl start penstock@alone
    penstock backup --node /run/penstock/alone.socket >/dev/null 2>&1 &
    until_true test -e /run/penstock/frozen
    systemctl kill --kill-who=main --signal=KILL penstock@alone
    wait $! && fail 'a backup is complete whose node was killed'
    until_true test -e /run/penstock/thawed
    systemctl stop penstock@alone
    rm /run/penstock/frozen /run/penstock/thawed "$config"
    shown 'penstock@.service: a node is killed while its freeze-command runs, and the thaw-command follows'
}

# ---- where its threads and its memory are ----

# The CPU of each LDM, in order, as the plan has them; those near the disk are the first.
planned_cpus() { jq -r '.plan.ldms[].cpu' "$exchange/topology.$id"; }

# The CPUs to which threads of a process are pinned.
pinned_cpus() { # PID
    sed -n 's/^Cpus_allowed_list:\t\([0-9]*\)$/\1/p' "/proc/$1"/task/*/status | sort -n
}

# NODE KIB: of what the process has bound to each NUMA node, the memory that lies there, by the kernel's
# account; fails if any lies on another.
bound_memory() { # PID
    awk '$2 ~ /^bind:/ {
        node = substr($2, 6)
        for (i = 3; i <= NF; i++) if ($i ~ /^kernelpagesize_kB=/) page = substr($i, 19)
        for (i = 3; i <= NF; i++) if ($i ~ /^N[0-9]+=/) {
            split($i, pages, "=")
            if (pages[1] != "N" node) exit 1
            kib[node] += pages[2] * page
        }
    } END { for (node in kib) print node, kib[node] }' "/proc/$1/numa_maps" | sort
}

placement() {
    local process cpu node bound
    process=$(systemctl show -P MainPID "penstock@$id")
    cp "/proc/$process/numa_maps" "$exchange/numa_maps.$id"
    penstock topology --path /var/backups/penstock --json >"$exchange/topology.$id"
    jq -e ".disk.numa_node == $backup_node and .plan.ldms[0].numa_node == $backup_node" "$exchange/topology.$id" >/dev/null ||
        fail "the first LDM is not planned near the disk"
    for cpu in $(planned_cpus); do
        pinned_cpus "$process" | grep -x "$cpu" >/dev/null || fail "no thread is pinned to CPU $cpu"
    done
    shown "LDMs on CPUs $(planned_cpus | paste -sd ,); the backup disk is on NUMA node $backup_node, of CPUs $(cpus_of "$backup_node")"
    bound=$(bound_memory "$process") || fail "pages of bound memory are on another NUMA node: see numa_maps.$id"
    for node in $(jq -r '.plan.ldms[].memory_numa_node' "$exchange/topology.$id" | sort -u); do
        grep -q "^$node " <<<"$bound" || fail "no memory is bound to NUMA node $node"
    done
    sees '[.ldms[] | select(.misplaced_pages != 0)] == []' >/dev/null || fail 'the node reports pages elsewhere'
    sees "[.ldms[] | [.cpu, .numa_node]] == $(jq -c '[.plan.ldms[] | [.cpu, .memory_numa_node]]' "$exchange/topology.$id")" >/dev/null ||
        fail 'the node reports other CPUs and NUMA nodes than planned'
    shown "the LDMs' buffers and rings, by move_pages: no page on another NUMA node than the LDM's CPU"
    shown "the LDMs' buffers, by numa_maps, all where they are bound: $(awk '{ printf "%s%.1f MiB on node %s", sep, $2 / 1024, $1; sep = ", " }' <<<"$bound")"
}

# ---- a function of the network for the node alone ----

refused() { # MESSAGE OPTION…
    penstock-setup-host "${@:2}" >/tmp/out 2>&1 && fail "setup-host ${*:2}: is not refused"
    grep -q "$1" /tmp/out || fail "setup-host ${*:2}: $(cat /tmp/out)"
}
driver_of() { basename "$(readlink "/sys/bus/pci/devices/$1/driver")"; } # BDF

# All that the kernel's network has, but counters and the interface that a node may take.
kernel_network() {
    ip -o link show dev "$kernel_nic"
    ip -o address | grep -v " $node_nic " || true
    ip route
    ip -6 route | grep -v " $node_nic " || true
}

set_up_nic() {
    local group record=/var/lib/penstock-setup-host.record
    [ "$(driver_of "$function")" = e1000e ] || fail "$function is with $(driver_of "$function")"
    refused 'give the address of a PCI function' --nic 3b:00.0
    refused 'there is no such PCI function' --nic 0000:ff:1f.7
    refused 'not a network function' --nic "$(basename "$(readlink -f "/sys/class/nvme/$(basename "${backup_disk%n1}")/device")")"
    refused "$kernel_nic has addresses (10.20.0.1$id/24)" --nic "$(function_of "$kernel_nic")"
    ip link set "$node_nic" up
    ip address add 192.0.2.1/24 dev "$node_nic"
    refused "$node_nic has addresses (192.0.2.1/24)" --nic "$function"
    ip address flush dev "$node_nic"
    ip route add default dev "$node_nic"
    refused "$node_nic has the default route" --nic "$function"
    ip route del default
    ip link add link "$node_nic" name vlan7 type vlan id 7
    refused "$node_nic serves vlan7" --nic "$function"
    ip link del vlan7
    ip netns add away
    ip link set "$node_nic" netns away
    refused 'in another network namespace' --nic "$function"
    ip netns exec away ip link set "$node_nic" netns 1
    ip netns del away
    penstock-setup-host --dry-run --nic "$function" | grep "^would do: vfio-pci has $function" >/dev/null || fail 'dry-run does not say what it would do'
    [ "$(driver_of "$function")" = e1000e ] || fail 'dry-run takes the function'
    shown 'setup-host --nic: a function in use, or none of the network, is refused'

    penstock-setup-host --nic "$function"
    group=$(basename "$(readlink "/sys/bus/pci/devices/$function/iommu_group")")
    [ "$(driver_of "$function")" = vfio-pci ] || fail "$function is with $(driver_of "$function")"
    [ "$(stat -c '%U:%G %a' "/dev/vfio/$group")" = 'root:penstock 660' ] || fail "/dev/vfio/$group: $(stat -c '%U:%G %a' "/dev/vfio/$group")"
    as_penstock bash -c ": <>/dev/vfio/$group" || fail 'penstock cannot open the group'
    systemctl is-enabled penstock-setup-host.service
    cp "$record" /tmp/record
    penstock-setup-host --nic "$function" | grep -v '^ok: ' && fail 'another run changes something'
    penstock-setup-host --check
    cmp "$record" /tmp/record || fail 'another run has something to take back'
    shown "setup-host --nic: vfio-pci has $function, /dev/vfio/$group is open to penstock, a second run changes nothing"

    # As after a reboot, when the kernel's driver has it again.
    echo >"/sys/bus/pci/devices/$function/driver_override"
    echo "$function" >/sys/bus/pci/drivers/vfio-pci/unbind
    echo "$function" >/sys/bus/pci/drivers_probe
    [ "$(driver_of "$function")" = e1000e ] || fail "$(driver_of "$function") has $function"
    systemctl start penstock-setup-host.service
    [ "$(driver_of "$function")" = vfio-pci ] || fail 'the service does not take the function again'
    [ "$(stat -c '%G %a' "/dev/vfio/$group")" = 'penstock 660' ] || fail "/dev/vfio/$group is closed again"
    shown 'setup-host --nic: its service takes the function again after a reboot'
}

undo_set_up() {
    local group
    group=$(basename "$(readlink "/sys/bus/pci/devices/$function/iommu_group")")
    exec 8<>"/dev/vfio/$group"
    refused 'is in use; stop the nodes first' --undo
    exec 8>&-
    penstock-setup-host --undo
    [ "$(driver_of "$function")" = e1000e ] || fail "$function is with $(driver_of "$function")"
    until_true test -n "$(interface_of 02)"
    [ ! -e /dev/vfio/"$group" ] || fail "/dev/vfio/$group is left"
    [ ! -e /etc/systemd/system/penstock-setup-host.service ] || fail 'the service is left'
    ! systemctl is-enabled --quiet penstock-setup-host.service 2>/dev/null || fail 'the service is enabled'
    if [ "$id" = 1 ]; then
        getent passwd penstock || fail 'the user of the package is gone'
    else
        getent passwd penstock && fail 'the user is left'
    fi
    [ "$(cat /sys/devices/system/node/node*/hugepages/hugepages-2048kB/nr_hugepages | sort -u)" = 0 ] || fail 'hugepages are left'
    shown "setup-host --undo: $function is with e1000e again, and nothing is left"
}

# ---- packets through DPDK ----

has_ethdev() { penstock node --help | grep -e --net-device >/dev/null; }

# The node's configuration, with an address that is not the kernel's.
configure_port() { # DEVICE NETWORK
    sed -i "/^net-/d; s/10\.20\.[0-9]*\./10.20.$2./; /^cluster-key/a net-device = $1\nnet-address = 10.20.$2.1$id/24" "/etc/penstock/$id.ini"
}

# Packets for nodes that the kernel has taken.
kernel_packets() { nft list ruleset | sed -n 's/.*7420.* counter packets \([0-9]*\) .*/\1/p'; }

over_port() { # NAME CAPABILITIES, as /proc has them
    local before process
    before=$(kernel_packets)
    start_node
    process=$(systemctl show -P MainPID "penstock@$id")
    [ "$(stat -c %U "/proc/$process")" = penstock ] || fail "the node is of user $(stat -c %U "/proc/$process")"
    grep -qx "CapEff:.$2" "/proc/$process/status" || fail "the node has $(grep CapEff "/proc/$process/status")"
    [ "$1" != vfio ] || [ -n "$(find "/proc/$process/fd" -lname "/dev/vfio/[0-9]*")" ] || fail 'the node has no function of vfio open'
    back_up_and_restore "$1"
    [ "$(kernel_packets)" = "$before" ] || fail "the kernel took $(($(kernel_packets) - before)) packets for nodes meanwhile"
    sees '.signals.packets_sent > 0 and .signals.packets_received > 0' >/dev/null || fail 'no packets are counted'
    shown "$1: $(sees '.signals' | jq -r '"\(.packets_sent) packets sent, \(.packets_received) received, \(.packets_dropped) dropped"') by DPDK's port; none reached the kernel's network"
    systemctl stop "penstock@$id"
    meet "$1-stopped"
}

over_vfio() {
    configure_port "$function" 1
    over_port vfio 0000000000000000
    shown "penstock@.service: user penstock, without privileges, drives $function on vfio-pci"
}

# The unit leaves out what a packet socket needs.
over_af_packet() {
    local drop_in=/etc/systemd/system/penstock@$id.service.d/af_packet.conf
    ip link add pst0 link "$kernel_nic" type macvlan mode bridge
    ip link set pst0 up
    nft add table netdev penstock
    nft 'add chain netdev penstock pst0 { type filter hook ingress device pst0 priority 0; policy drop; }'
    configure_port af_packet:pst0 2
    install -D -m 644 "$documentation/docs/examples/af_packet.conf" "$drop_in"
    over_port af_packet 0000000000003000
    rm "$drop_in"
    systemctl daemon-reload
    systemctl start "penstock@$id" && fail 'a node without capabilities has a packet socket'
    journalctl -u "penstock@$id" | grep 'it needs the capabilities CAP_NET_RAW and CAP_NET_ADMIN' >/dev/null || fail 'a missing capability is not named'
    systemctl stop "penstock@$id"
    ip link del pst0
    shown 'penstock@.service with af_packet.conf: user penstock has a packet socket on a macvlan; without, the log names what is missing'
}

the_machine
mount_disks
install_penstock
set_up_host
agree_on_user
make_sources
configure
as_penstock penstock node --config "/etc/penstock/$id.ini" --check-config
start_node
shown 'penstock@.service: the node runs as user penstock, over packet_udp on the kernel'"'"'s interface'
back_up_and_restore udp
placement
systemctl stop "penstock@$id"
meet stopped
share_by_nfs
[ "$id" = 2 ] || freeze_and_die
before=$(kernel_network)
set_up_nic
if has_ethdev; then
    over_vfio
    over_af_packet
else
    not_shown 'packets through DPDK: this build has no --net-device'
fi
undo_set_up
[ "$(kernel_network)" = "$before" ] || fail "the kernel's network has changed: $(diff <(echo "$before") <(kernel_network))"
if [ "$id" = 1 ]; then
    by_the_clock
    purge_package
fi
shown "the kernel's interface $kernel_nic, its addresses and routes are as they were before all that"
meet end
touch "$exchange/done.$id"
sync
