# shellcheck shell=bash
# Hugepages for the time of a test; sourced. Needs root, and that no other test of this host does the
# same meanwhile, whatever build it is of: hence the lock, which the caller's end lets go.
exec {hugepages_lock}>/run/lock/penstock-test-hugepages || exit 77
flock "$hugepages_lock"
hugepages_pool=/proc/sys/vm/nr_hugepages
hugepages_before=$(cat "$hugepages_pool")

# reserve_hugepages COUNT: that many more; says why and exits with 77 where they are not to be had.
reserve_hugepages() {
    local now
    echo $((hugepages_before + $1)) >"$hugepages_pool"
    now=$(cat "$hugepages_pool")
    if [ "$now" -lt $((hugepages_before + $1)) ]; then
        echo "skipped: of $1 hugepages the kernel gives $((now - hugepages_before))"
        exit 77
    fi
}

put_back_hugepages() {
    echo "$hugepages_before" >"$hugepages_pool"
}
