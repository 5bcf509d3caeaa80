#!/bin/bash
# What life_test.sh runs as root in a system of its own; FOLDER has the packages, old and new.
#   life.sh FOLDER COMMAND_THAT_INSTALLS…
set -euo pipefail
trap 'echo "FAILED: line $LINENO: $BASH_COMMAND" >&2' ERR
export LC_ALL=C
cd "$1"
install=("${@:2}")

"${install[@]}" ./old/*.deb >out 2>&1 || { cat out; exit 1; }
test -e /usr/share/doc/penstock/of-the-old-one
penstock --version | grep '^penstock ' >/dev/null

# Debian's tools see what is there for them.
getent passwd penstock | grep ':/usr/sbin/nologin$' >/dev/null
[ "$(stat -c '%U %a' /run/penstock)" = 'penstock 750' ]
systemctl enable penstock@1.service penstock-backup@daily.timer 2>out || { cat out; exit 1; }
man --where penstock-backup | grep '/usr/share/man/man1/penstock-backup.1.gz$' >/dev/null
penstock-setup-host --dry-run | grep '^ok: user and group penstock$' >/dev/null

# What the example's unit does.
mkdir backups
sed "s,dir:/.*,dir:/usr/share/doc/penstock,; /lmdb:/d; s,/var/backups/penstock,$PWD/backups," \
    /usr/share/doc/penstock/docs/examples/backup.ini >/etc/penstock/daily.ini
sed -n 's/^Exec[A-Za-z]*=//p' /usr/lib/systemd/system/penstock-backup@.service | sed 's/%i/daily/g' >commands
[ "$(wc -l <commands)" -eq 2 ]
bash -e commands >out 2>&1 || { cat out; exit 1; }
penstock list --from backups | grep nightly >/dev/null
sed -i '/^\[prune\]/,$d' /etc/penstock/daily.ini # nothing is pruned, and that is no failure
bash -e commands >out 2>&1 || { cat out; exit 1; }
rm -r backups /etc/penstock/daily.ini

penstock backup --source dir:/usr/share/doc/penstock --to backups --quiet
penstock verify --from backups --quiet
penstock restore --from backups --target restored --quiet
diff -r /usr/share/doc/penstock restored

# What is loaded only when it is needed is there too.
penstock keygen key >/dev/null
penstock backup --source dir:/usr/share/doc/penstock --to sealed --key-file key --quiet
penstock verify --from sealed --key-file key --quiet
penstock node --id 1 --cluster c --member 1=127.0.0.1:17420 --member 2=127.0.0.2:17420 --cluster-key key --socket "$PWD/socket" \
    --source dir:/etc/penstock --to backups --metrics 17422 >out 2>&1 &
for _ in {1..100}; do
    if [ -S socket ] && penstock status --node "$PWD/socket" >seen 2>&1; then break; fi
    sleep 0.1
done
grep '^ *1 live' seen >/dev/null || { cat out seen; exit 1; }
exec 3<>/dev/tcp/127.0.0.1/17422
printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
grep -a '^penstock_build_info' <&3 >/dev/null
exec 3>&-
kill %1
wait %1 || true

read -ra flags < <(pkg-config --cflags --libs penstock)
cc -std=c11 /usr/share/doc/penstock/docs/examples/accounts.c "${flags[@]}" -pthread -o accounts
./accounts accounts.backups >/dev/null

"${install[@]}" ./new/*.deb >out 2>&1 || { cat out; exit 1; }
[ ! -e /usr/share/doc/penstock/of-the-old-one ]
penstock verify --from backups --quiet
dpkg --verify penstock libpenstock0 libpenstock-dev

mapfile -t packages < <(dpkg-query -W -f '${Package}\n' '*penstock*')
dpkg --purge "${packages[@]}" >out 2>&1 || { cat out; exit 1; }
[ ! -e /usr/bin/penstock ]
