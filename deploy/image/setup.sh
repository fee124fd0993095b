#!/bin/sh
# Prepares the root file system $1 of the station image, after its packages are installed and its files are copied.
set -e
root=$1

: > "$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"
ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
# The clock starts at this time if it is not kept.
touch -d "@$SOURCE_DATE_EPOCH" "$root/usr/lib/clock-epoch"
echo station > "$root/etc/hostname"
# What the boot partition said of this station applies to the service and to each command.
ln -s /data/station.env "$root/etc/borne/environment"
mkdir -p "$root/data" "$root/boot" "$root/etc/systemd/system-generators"
# The page of a station is for the network that it is in; [http] of the maker's installation file may say otherwise.
chroot "$root" systemctl --quiet enable borne.service borne-data.service borne-first-boot.service borne-reboot.path borne-trial.timer nftables.service \
    systemd-networkd.service systemd-resolved.service chrony.service
chroot "$root" systemctl --quiet disable ssh.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer man-db.timer 2>/dev/null || true
# What a station does not use only makes its start longer.
chroot "$root" systemctl --quiet mask ssh.socket systemd-networkd-wait-online.service ldconfig.service \
    systemd-update-done.service grub-common.service systemd-journal-catalog-update.service systemd-binfmt.service \
    proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount sys-fs-fuse-connections.mount modprobe@configfs.service modprobe@drm.service \
    modprobe@efi_pstore.service modprobe@fuse.service systemd-network-generator.service systemd-sysext.socket \
    systemd-initctl.socket systemd-udev-load-credentials.service systemd-hibernate-clear.service getty@tty1.service
ln -sf /dev/null "$root/etc/systemd/system-generators/systemd-ssh-generator"
# Kernel and initial RAM disk are read by the boot loader, by names without their version.
kernel=$(cd "$root/boot" && ls vmlinuz-* | tail -n 1)
mv "$root/boot/$kernel" "$root/boot/vmlinuz"
mv "$root/boot/initrd.img-${kernel#vmlinuz-}" "$root/boot/initrd.img"
# Drivers that no station has a use for: a third of all.
for drivers in sound drivers/media drivers/infiniband drivers/isdn drivers/scsi/qla2xxx drivers/scsi/lpfc drivers/net/ethernet/mellanox \
    drivers/net/ethernet/chelsio drivers/net/ethernet/broadcom/bnx2x drivers/net/ethernet/qlogic drivers/gpu/drm/amd \
    drivers/gpu/drm/nouveau drivers/gpu/drm/radeon drivers/gpu/drm/xe fs/ocfs2 fs/xfs fs/btrfs fs/bcachefs fs/gfs2 fs/ceph fs/smb; do
    rm -rf "$root/usr/lib/modules/${kernel#vmlinuz-}/kernel/$drivers"
done
chroot "$root" depmod "${kernel#vmlinuz-}"
rm -f "$root"/boot/System.map-* "$root"/boot/config-* "$root/vmlinuz" "$root/initrd.img" "$root"/vmlinuz.old "$root"/initrd.img.old
# Caches, logs and times of this build.
rm -rf "$root"/var/log/* "$root"/var/cache/* "$root"/var/lib/apt/lists/* "$root/var/lib/systemd/random-seed"
chroot "$root" ldconfig -X 2>/dev/null || true
