# shellcheck shell=bash
# Hugepages for the time of a test; sourced. Needs root, and that no other test of this host does the
# same meanwhile, whatever build it is of: hence the lock, which the caller's end lets go.
exec {hugepages_lock}>/run/lock/penstock-test-hugepages || exit 77
flock "$hugepages_lock"
hugepages_pool=/proc/sys/vm/nr_hugepages
hugepages_before=$(cat "$hugepages_pool")

hugepages_count() { # KIND: Free, Surp
    awk -v name="HugePages_$1:" '$1 == name { print $2 }' /proc/meminfo
}

# What a process held that has just ended comes back late: io_uring lets go of buffers in the
# background.
for _ in {1..200}; do
    [ "$(hugepages_count Surp)" -gt 0 ] || break
    sleep 0.05
done

# reserve_hugepages COUNT: that many more, free; says why and exits with 77 where they are not to be
# had. Pages in use beyond the pool's size, surplus, are counted into it first.
reserve_hugepages() {
    echo $((hugepages_before + $(hugepages_count Surp) + $1)) >"$hugepages_pool"
    if [ "$(hugepages_count Free)" -lt "$1" ]; then
        echo "skipped: of $1 hugepages the kernel gives $(hugepages_count Free)"
        put_back_hugepages
        exit 77
    fi
}

put_back_hugepages() {
    echo "$hugepages_before" >"$hugepages_pool"
}
