#!/bin/bash
# setup-host on this very host, for a user of the test's own: it says what is missing, does it once,
# and puts everything back. What it does with a network function is tested in guests (tests/guests).
#
#   setup_host_test.sh SETUP_HOST
set -euo pipefail
setup=${1:?}
[ "$(id -u)" -eq 0 ] || { echo 'skipped: only root can set up a host'; exit 77; }
# shellcheck source=../../hugepages.sh disable=SC1091
source "$(dirname "${BASH_SOURCE[0]}")/../../hugepages.sh"
user=pstk$$
pools=(/sys/devices/system/node/node[0-9]*/hugepages/hugepages-2048kB)
[ -e "${pools[0]}" ] || pools=(/sys/kernel/mm/hugepages/hugepages-2048kB)
out=$(mktemp)
folder=$(mktemp -d)
leave() {
    "$setup" --undo --user "$user" >/dev/null 2>&1 || true
    umount -l "$folder" 2>/dev/null || true
    rm -rf "$out" "$folder"
    put_back_hugepages
}
trap leave EXIT

fail() {
    echo "FAILED: $*" >&2
    cat "$out" >&2
    exit 1
}

# Pages of who runs beside this test may be in the pool beyond its size, as surplus.
pool_size() { # FOLDER
    echo $(($(cat "$1/nr_hugepages") - $(cat "$1/surplus_hugepages")))
}

# Holds pages that the pool is then made too small for, as a node does that outlives a test's.
hold_surplus() {
    local held
    reserve_hugepages 2
    mount -t hugetlbfs -o pagesize=2M none "$folder"
    fallocate -l 4M "$folder/held"
    # shellcheck disable=SC2034 # open until this script ends
    exec {held}<>"$folder/held"
    rm "$folder/held"
    umount -l "$folder"
    put_back_hugepages
}

# What it may change.
state() {
    for pool in "${pools[@]}"; do pool_size "$pool"; done
    cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 'no such switch'
    grep hugetlbfs /proc/mounts || echo 'no hugetlbfs'
    ls -d /dev/hugepages /etc/tmpfiles.d /etc/security/limits.d "/run/$user" 2>/dev/null || true
    find /etc/tmpfiles.d /etc/security/limits.d /var/lib -maxdepth 1 -name "$user*" 2>/dev/null
    grep "^$user:" /etc/passwd /etc/group || echo 'no such user'
}

run() { # EXIT_CODE OPTION…
    local status=0
    "$setup" --user "$user" "${@:2}" >"$out" 2>&1 || status=$?
    [ "$status" -eq "$1" ] || fail "${*:2}: exit $status, not $1"
}

hold_surplus
pages=0
for pool in "${pools[@]}"; do
    [ "$(pool_size "$pool")" -le "$pages" ] || pages=$(pool_size "$pool")
done
pages=$((pages + 2))
before=$(state)

run 2 --nonsense
run 1 --hugepages many
run 1 --nic 00:03.0
run 1 --check --nic 0000:ff:1f.7
grep -q 'there is no such PCI function' "$out" || fail 'a function that is not there is not named'
run 1 --check --hugepages "$pages"
grep -q "^missing: user and group $user" "$out" || fail 'the user is not missing'
grep -q "^missing: $pages hugepages" "$out" || fail 'the hugepages are not missing'
run 0 --dry-run --hugepages "$pages"
run 0 --undo
[ "$(state)" = "$before" ] || fail "only looking changed: $(diff <(echo "$before") <(state))"

run 0 --hugepages "$pages"
for pool in "${pools[@]}"; do
    [ "$(pool_size "$pool")" -eq "$pages" ] || fail "$pool: $(pool_size "$pool"), not $pages"
done
grep -q hugetlbfs /proc/mounts || fail 'hugetlbfs is not mounted'
[ "$(stat -c '%U:%G %a' "/run/$user")" = "$user:$user 750" ] || fail "/run/$user: $(stat -c '%U:%G %a' "/run/$user")"
grep -q "^$user - memlock unlimited" "/etc/security/limits.d/$user.conf" || fail 'the limit is not set'
run 0 --check --hugepages "$pages"
made=$(state)
cp "/var/lib/$user-setup-host.record" "$out.record"
run 0 --hugepages "$pages"
! grep -v '^ok: ' "$out" || fail 'the second run does something'
cmp -s "$out.record" "/var/lib/$user-setup-host.record" || fail 'the second run has something to put back'
rm "$out.record"
[ "$(state)" = "$made" ] || fail "the second run changed: $(diff <(echo "$made") <(state))"

run 0 --hugepages $((pages + 1)) # more than before: undone in two steps
run 0 # as many as before
grep -q "w .* $((pages + 1))\$" "/etc/tmpfiles.d/$user.conf" || fail 'a run without --hugepages forgets how many they are'
run 0 --undo
[ "$(state)" = "$before" ] || fail "not put back: $(diff <(echo "$before") <(state))"
