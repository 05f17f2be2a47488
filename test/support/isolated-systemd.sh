#!/usr/bin/env bash
# Runs systemd as the init of a machine of its own, for tests of units.
#
#   isolated-systemd.sh boot FOLDER CGROUP CHECKOUT NODE [bare|empty]    in the network namespace it shall have
#   isolated-systemd.sh boot FOLDER CGROUP CHECKOUT NODE debian ROOT    the same with the system in ROOT
#   isolated-systemd.sh remove FOLDER CGROUP                afterwards: its control groups
#
# An init cleans up at boot: systemd-tmpfiles empties /tmp, other services write to /dev, /var and
# /proc/sys. So it must not see the machine it runs on. Its root is a tmpfs that holds read-only views
# (/usr with an overlay in memory, the checkout) and nothing else, or an overlay in memory of a whole system
# that debootstrap has made; the old root is unmounted before systemd starts, and without that having worked
# it is not started. Control groups: a subtree of its own.
set -euo pipefail

boot() { # folder cgroup checkout node [bare]
  local folder=$1 cgroup=$2
  mkdir -p "$folder/cgroup" "$folder/root"
  mount -t cgroup2 cgroup2 "$folder/cgroup"
  mkdir "$folder/cgroup/$cgroup"
  echo $$ >"$folder/cgroup/$cgroup/cgroup.procs"
  umount "$folder/cgroup"
  exec unshare --mount --pid --uts --ipc --cgroup --propagation private --fork --kill-child \
    "$0" inside "$@"
}

read_only() { # from to
  mount --bind "$1" "$2"
  mount -o remount,bind,ro "$2"
}

machine_of_parts() { # root checkout node kind
  local root=$1 checkout=$2 node=$3 kind=$4 file
  mount -t tmpfs -o mode=755,size=512m tmpfs "$root"
  cd "$root"
  mkdir -p usr etc/systemd/system etc/sysctl.d etc/default dev proc sys run tmp var/lib var/log \
    var/tmp root old .upper .work
  ln -s /run var/run
  chmod 1777 tmp var/tmp
  for file in bin sbin lib lib64; do ln -s "usr/$file" "$file"; done

  mount -t overlay -o lowerdir=/usr,upperdir="$root/.upper",workdir="$root/.work" overlay usr
  # Nothing starts but what the test starts, and the journal. (Removed in memory: see above.)
  [ "$(stat -f -c %T usr)" = overlayfs ]
  rm -rf usr/lib/systemd/system/*.wants usr/lib/systemd/system-generators usr/lib/tmpfiles.d
  mkdir -p etc/systemd/system/sysinit.target.wants
  ln -s /usr/lib/systemd/system/systemd-journald.service etc/systemd/system/sysinit.target.wants/
  ln -s /dev/null etc/systemd/system/dbus.service
  printf '[Unit]\nDescription=Ready for the test\nRequires=sysinit.target\nAfter=sysinit.target\n' \
    >etc/systemd/system/ready.target
  for file in passwd group nsswitch.conf ld.so.cache alternatives; do
    [ ! -e "/etc/$file" ] || cp -a "/etc/$file" etc/
  done
  echo isolated >etc/hostname
  printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >etc/hosts
  tr -d - </proc/sys/kernel/random/uuid >etc/machine-id

  # An empty one has nothing of it.
  [ "$kind" != empty ] || return 0
  mkdir usr/lib/rtprelay
  read_only "$checkout" usr/lib/rtprelay
  touch usr/local/bin/node
  read_only "$node" usr/local/bin/node
  # A bare one has the checkout, and nothing of it is installed.
  if [ "$kind" != bare ]; then
    ln -s ../lib/rtprelay/dist/bin/rtprelayd.js usr/bin/rtprelayd
    ln -s ../lib/rtprelay/deploy/bin/rtprelay-probe usr/bin/rtprelay-probe
    cp usr/lib/rtprelay/deploy/systemd/*.service etc/systemd/system/
    mkdir -p etc/sysusers.d etc/rtprelay
    cp usr/lib/rtprelay/deploy/systemd/rtprelay.sysusers etc/sysusers.d/rtprelay.conf
  fi
}

debian_machine() { # folder root: the system in ROOT, which stays as it is
  mount -t tmpfs -o mode=755,size=2g tmpfs "$1"
  mkdir -p "$1/root" "$1/upper" "$1/work"
  mount -t overlay -o lowerdir="$2",upperdir="$1/upper",workdir="$1/work" overlay "$1/root"
  cd "$1/root"
  mkdir -p old
  printf '[Unit]\nDescription=Ready for the test\nRequires=sysinit.target\nAfter=sysinit.target\n' \
    >etc/systemd/system/ready.target
  ln -sf /dev/null etc/systemd/system/systemd-networkd.service
  rm -f etc/resolv.conf
  echo isolated >etc/hostname
  printf '127.0.0.1 localhost isolated\n::1 localhost\n' >etc/hosts
  tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
  rm -rf run/* tmp/*
}

kernel_files() {
  local device
  mount -t tmpfs -o mode=755 tmpfs dev
  mkdir dev/shm dev/pts dev/mqueue dev/hugepages
  chmod 1777 dev/shm
  for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
  done
  mount -t devpts -o newinstance,mode=620,ptmxmode=666 devpts dev/pts
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
  mount -t tmpfs -o mode=755 tmpfs run
  mount -t tmpfs -o mode=1777 tmpfs tmp
  mount -t proc proc proc
  read_only proc/sys proc/sys
  # These are the network namespace's own.
  mount --bind proc/sys/net/ipv4 proc/sys/net/ipv4
  mount -o remount,bind,rw proc/sys/net/ipv4
  # Cluster software that panics would restart the machine, the real one.
  [ ! -e proc/sysrq-trigger ] || mount --bind dev/null proc/sysrq-trigger
  mount -t sysfs -o ro sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
}

inside() {
  local folder=$1 checkout=$3 node=$4 kind=${5-} whole=overlayfs
  if [ "$kind" = debian ]; then debian_machine "$folder" "$6"; else
    machine_of_parts "$folder/root" "$checkout" "$node" "$kind"
    whole=tmpfs
  fi
  kernel_files

  pivot_root . old
  cd /
  umount -l /old
  rmdir /old
  # The last look before systemd starts: nothing of the machine is in sight.
  [ "$(stat -f -c %T /)" = "$whole" ] && [ "$(stat -f -c %T /tmp)" = tmpfs ] &&
    [ "$(stat -f -c %T /dev)" = tmpfs ] && [ "$(stat -f -c %T /usr)" = overlayfs ] && [ ! -e /old ] &&
    { [ ! -e /proc/sysrq-trigger ] || [ -c /proc/sysrq-trigger ]; } &&
    [ ! -w /proc/sys/kernel/hostname ] && { [ "$kind" = debian ] || [ ! -w /usr/lib/rtprelay/package.json ]; } || {
    echo 'isolated-systemd: the isolation is not complete' >&2
    exit 1
  }
  hostname isolated
  export container=isolated-systemd
  exec setpriv --bounding-set=-sys_time,-sys_module,-sys_boot,-sys_rawio,-mknod,-syslog \
    /lib/systemd/systemd --system --unit=ready.target --log-target=journal --show-status=no
}

remove() { # folder cgroup
  exec unshare --mount --propagation private "$0" remove_inside "$@"
}

remove_inside() {
  mount -t cgroup2 cgroup2 "$1/cgroup"
  [ ! -d "$1/cgroup/$2" ] || find "$1/cgroup/$2" -depth -type d -exec rmdir {} + || true
  # Not yet while the kernel still ends a process; the caller tries again.
  [ ! -d "$1/cgroup/$2" ]
}

case "${1-}" in
  boot) shift && exec unshare --mount --propagation private "$0" boot_inside "$@" ;;
  boot_inside) shift && boot "$@" ;;
  inside | remove | remove_inside) "$@" ;;
  *) sed -n '4,5s/^# *//p' "$0" >&2 && exit 2 ;;
esac
