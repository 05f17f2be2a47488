#!/usr/bin/env bash
# systemd 252.39 (Debian 12: 252.39-1~deb12u2) as PID 1 of a container, and its store of file descriptors (FileDescriptorStoreMax=,
# sd_notify(3) with FDSTORE=1), which holds a service's UDP sockets over a restart.
#
# Guessed: what is in the store stays until the service takes it out or is stopped; it is watched for hang-ups (EPOLLHUP, EPOLLERR), which
#          connections and pipes have and a UDP socket has not.
# Seen:    one ICMP port unreachable is such an error for a socket that is connected or has IP_RECVERR: systemd throws it out without
#          a word in its log (but for level debug), while the service lives and uses it. The next process finds it missing, the port was closed
#          in between. One that is not connected stays, so does one of which nobody was refused. FDPOLL=0 in the message keeps all.
# So of a relay whose sockets report errors (to see peers that are gone) just those are lost with a restart that have met a phone
# that was not there for a moment, and no trial with phones that are there shows it. FDPOLL=0 with each descriptor.
#
# Output seen (sockets that the second process is given):
#   nothing refused: connected connected-FDPOLL=0 plain recverr
#   each was refused once: connected-FDPOLL=0 plain
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (namespaces, a chroot, and a
# cgroup of its own, cgroup2), and Debian 12's package lists.
set -u
work=$(mktemp -d) || exit 2
group=
finish() {
  # The last processes of the manager may be about to end.
  [ -z "$group" ] || unshare -m sh -c 'mount -t cgroup2 none "$1" && for try in 1 2 3 4 5 6 7 8 9 10; do
      find "$1/$2" -depth -type d -exec rmdir {} + 2>/dev/null
      [ -d "$1/$2" ] || break
      sleep 0.2
    done' sh "$work/cgroup" "$group"
  rm -rf "$work"
}
trap finish EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root" "$work/cgroup"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install systemd=252.39-1~deb12u2 python3-minimal) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
root=$work/root
mkdir -p "$root"/{proc,sys,run,opt,dev,tmp,var/log,etc/systemd/system}
: >"$root/etc/machine-id"
for device in null:3 zero:5 urandom:9; do mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}"; done

cat >"$root/opt/service.py" <<'PY'
import array, os, socket, sys, time

def notify(text, *descriptors):
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address[0] == "@" else address)
        channel.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else [])

def kept(name, other=None, report=False):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    if report:
        made.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
    if other is not None:
        made.connect(other)
    notify(f"FDSTORE=1\nFDNAME={name}" + "\nFDPOLL=0" * name.endswith("FDPOLL=0"), made.fileno())
    return made

if "LISTEN_FDS" not in os.environ:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = nobody.getsockname()
    sockets = [kept("plain"), kept("connected", closed), kept("recverr", report=True), kept("connected-FDPOLL=0", closed)]
    time.sleep(1)
    notify("READY=1")
    if sys.argv[1] == "refused":
        for each in sockets:
            each.sendto(b"", closed)
    time.sleep(2)
    os.kill(os.getpid(), 9)
with open("/opt/found", "w") as file:
    file.write(" ".join(sorted(os.environ["LISTEN_FDNAMES"].split(":"))))
os.rename("/opt/found", "/opt/seen")
notify("READY=1")
time.sleep(600)
PY
printf '[Unit]\nDefaultDependencies=no\nRequires=relay.service\n' >"$root/etc/systemd/system/try.target"

# once WORD: what the second process is given.
once() {
  rm -f "$root/opt/seen"
  printf '%s\n' '[Unit]' DefaultDependencies=no '[Service]' Type=notify NotifyAccess=all Restart=always FileDescriptorStoreMax=8 \
    "ExecStart=/usr/bin/python3 /opt/service.py $1" >"$root/etc/systemd/system/relay.service"
  # The manager's cgroup2 is one of its own, and it can write no kernel parameter.
  unshare -m sh -c 'mount -t cgroup2 none "$1" && mkdir -p "$1/$2" && echo $$ >"$1/$2/cgroup.procs" && umount "$1" && shift 2 &&
      exec unshare -f --kill-child -p -m -n -u -i -C --propagation private sh "$@"' sh "$work/cgroup" "$group" -c '
    mount -t proc proc "$0/proc" && mount --bind "$0/proc/sys" "$0/proc/sys" && mount -o remount,ro,bind "$0/proc/sys" &&
      mount -t tmpfs tmpfs "$0/sys" && mkdir -p "$0/sys/fs/cgroup" && mount -t cgroup2 none "$0/sys/fs/cgroup" && mount -t tmpfs tmpfs "$0/run" &&
      ip link set lo up && exec env -i container=lxc PATH=/usr/bin:/usr/sbin chroot "$0" /lib/systemd/systemd --system \
      --unit=try.target --log-target=console --show-status=no' "$root" >"$work/systemd.log" 2>&1 &
  local manager=$! tries=0
  while [ ! -e "$root/opt/seen" ] && [ $((tries += 1)) -le 300 ] && kill -0 "$manager" 2>/dev/null; do sleep 0.1; done
  kill -KILL "$manager" 2>/dev/null
  wait "$manager" 2>/dev/null
  cat "$root/opt/seen" 2>/dev/null
}
group=systemd-store-$$
quiet=$(once quiet)
refused=$(once refused)
[ -n "$quiet" ] && [ -n "$refused" ] || { tail -n 5 "$work/systemd.log"; exit 2; }
echo "  nothing refused: $quiet"
echo "  each was refused once: $refused"
[ "$quiet" = "connected connected-FDPOLL=0 plain recverr" ] || exit 1
[ "$refused" = "connected-FDPOLL=0 plain" ]
