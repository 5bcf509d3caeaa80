#!/bin/bash
# Makes a fresh Debian tree boot as a guest of scripts/guest-proof: called by mmdebstrap, with the tree.
# All that a run brings along comes later, from the folder "exchange" that the host shares by 9p.
set -euo pipefail
root=${1:?}

# The root disk and the console; the rest is loaded by udev, as on any host.
printf 'MODULES=list\nCOMPRESS=gzip\n' >"$root/etc/initramfs-tools/conf.d/guest"
printf '%s\n' virtio_pci virtio_blk ext4 crc32c_generic >>"$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u >/dev/null

printf '/dev/vda / ext4 defaults 0 1\nexchange /exchange 9p noauto,trans=virtio,version=9p2000.L,x-mount.mkdir 0 0\n' >"$root/etc/fstab"
cat >"$root/etc/systemd/system/guest.service" <<'END'
[Unit]
After=network.target systemd-udev-settle.service
Wants=systemd-udev-settle.service

# udev loads the driver of the folder's channel, and may come later than the mounts of /etc/fstab.
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStartPre=/bin/sh -c 'until mount /exchange; do sleep 1; done'
ExecStart=/bin/bash /exchange/guest.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStopPost=/sbin/poweroff --force
END
ln -s /etc/systemd/system/guest.service "$root/etc/systemd/system/multi-user.target.wants/guest.service"
# Nobody logs in, and nothing runs by the clock while others are measured.
for unit in getty@tty1 serial-getty@ttyS0 apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    fstrim.timer systemd-timesyncd nfs-server rpcbind; do
    [[ $unit == *.timer ]] || unit+=.service
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
