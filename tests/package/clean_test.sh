#!/bin/bash
# The Debian packages of a release build: lintian finds nothing wrong, and in a fresh system apt installs
# with them all that they need, by the network.
#   clean_test.sh
set -euo pipefail
tree=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")

skip() {
    echo "skipped: $*"
    exit 77
}
[ "$(id -u)" -eq 0 ] || skip 'only root can make a system of its own'
for tool in dh lintian mmdebstrap; do
    command -v "$tool" >/dev/null || skip "$tool is missing: run scripts/install-deps full"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

DEBEMAIL=maintainers@example.org DEB_BUILD_OPTIONS=noautodbgsym "$tree/scripts/package" "$work/new" >"$work/log" 2>&1 ||
    { tail -n 30 "$work/log"; exit 1; }
lintian --allow-root --fail-on error,warning "$work"/new/*.changes
"$tree/tests/package/make_old.sh" "$work/new" "$work/old"

suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
mmdebstrap --quiet --variant=apt --include=gcc,libc6-dev,pkg-config,man-db,systemd --skip=cleanup/apt/lists \
    "$suite" "$work/system" >"$work/log" 2>&1 || skip "the packages of $suite are not to be had: $(tail -n 1 "$work/log")"
cp /etc/resolv.conf "$work/system/etc/"
unshare --mount --propagation private "$tree/tests/package/in_system.sh" "$work/system" "$work" \
    apt-get install --yes --no-install-recommends --quiet
echo 'lintian finds nothing; installed with what they need, run, upgraded, purged'
