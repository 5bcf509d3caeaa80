#!/bin/bash
# What a command loads: the libraries that it needs, and no others. Where the module of the network,
# or libcrypto, is missing or of another build, who needs it is told, and nobody else notices.
#   startup_test.sh BUILD_FOLDER
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/usr" >/dev/null
penstock=$work/usr/bin/penstock
module=$(find "$work/usr" -name net.so)
mkdir "$work/source" "$work/to" "$work/broken"
echo text >"$work/source/file"
"$penstock" keygen "$work/key" >/dev/null

fail() {
    echo "FAILED: $*"
    cat "$work/messages"
    exit 1
}

loaded() { # command…: prints the libraries, whenever they were loaded
    LD_DEBUG=files LD_DEBUG_OUTPUT=$work/debug "$penstock" "$@" >/dev/null 2>"$work/messages" || fail "$*"
    sed -nE 's,.*calling init: .*/([^/]*)\.so.*,\1,p' "$work"/debug.* | grep -vx ld-linux-x86-64 | sort -u
    rm "$work"/debug.*
}

refused() { # text, command…: it fails, by itself, with the text in its messages
    local text=$1 status=0
    shift
    "$@" >"$work/messages" 2>&1 || status=$?
    if [ "$status" -eq 0 ] || [ "$status" -ge 128 ]; then fail "$*: exit $status"; fi
    grep -q -- "$text" "$work/messages" || fail "$* does not say: $text"
}

everyone=(libbasicobjects libc libcollection libini_config libjansson liblmdb liblz4 libnuma libpath_utils libpthread libref_array libsodium
    liburing libxxhash libzstd)
printf '%s\n' "${everyone[@]}" >"$work/everyones"
expect() { # command…: loads nothing but everyone's
    loaded "$@" | diff "$work/everyones" - || fail "$*"
}
expect --version
expect backup --source dir:"$work/source" --to "$work/to"
expect list --from "$work/to"
expect verify --from "$work/to"
expect restore --from "$work/to" --target "$work/restored"
expect prune --from "$work/to" --keep-last 1

backup=("$penstock" backup --source dir:"$work/source" --to "$work/to" --key-file "$work/key")
loaded "${backup[@]:1}" | diff <(printf '%s\n' "${everyone[@]}" libcrypto | sort) -
: >"$work/broken/libcrypto.so.3"
LD_LIBRARY_PATH=$work/broken refused 'libcrypto.so.3: file too short' "${backup[@]}"
LD_LIBRARY_PATH=$work/broken refused 'libcrypto.so.3: file too short' "$penstock" verify --from "$work/to" --key-file "$work/key"
LD_LIBRARY_PATH=$work/broken "$penstock" list --from "$work/to" --key-file "$work/key" >/dev/null

mkdir "$work/no-fuse"
: >"$work/no-fuse/libfuse3.so.3"
LD_LIBRARY_PATH=$work/no-fuse refused 'libfuse3.so.3: file too short' "$penstock" mount --from "$work/to" --key-file "$work/key" "$work/source"

node=("$penstock" node --cluster c --id 1 --socket "$work/socket" --source dir:"$work/source" --to "$work/to" --check-config)
members=(--member "1=127.0.0.1" --member "2=127.0.0.2" --cluster-key "$work/key")
loaded "${node[@]:1}" | diff "$work/everyones" -
loaded "${node[@]:1}" "${members[@]}" | grep -x libgnutls >/dev/null
mark=$(strings "$module" | grep -xE 'penstock [0-9a-f]{64}')
[ "$mark" = "$(strings "$penstock" | grep -xE 'penstock [0-9a-f]{64}')" ] || fail 'program and module have not one mark'
sed -i "s/$mark/${mark%?}g/" "$module"
refused "${module##*/usr/} is of another build" "${node[@]}" "${members[@]}"
rm "$module"
refused "net.so: cannot open shared object file" "${node[@]}" "${members[@]}"
"${node[@]}" >/dev/null 2>&1 || fail 'a node of one host needs no module'
