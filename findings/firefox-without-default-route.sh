#!/usr/bin/env bash
# Firefox ESR 153.8.0 (Debian 12, 153.8.0esr-1~deb12u1), Linux.
#
# Guessed: ICE gathers the addresses of the machine's interfaces. Two programs on one link need no more, so a
#          machine with an address and without a default route gathers a host candidate for it, as Chromium does
#          there, and two pages on it can call each other.
# Seen:    without a default route Firefox believes that it is offline: nothing is gathered, the gathering state
#          stays `new` for good (it never is `complete`), and iceConnectionState and connectionState are `failed` within a few
#          milliseconds of setLocalDescription(), before there is a remote description. The preference
#          network.manage-offline-status=false, which is there for this, does not change it. A default route through a gateway that
#          does not exist is enough: the host candidate is there at once.
# So a laboratory or an isolated media network needs a route to nowhere; and a page that waits for the end of
# gathering before it sends its offer waits for ever.
#
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (a network
# namespace of its own), python3, and Debian 12's package lists.
set -u
version=153.8.0esr-1~deb12u1
work=$(mktemp -d) || exit 2
space=firefox-route-$$
browser=""
cleanup() {
  [ -z "$browser" ] || kill "$browser" 2>/dev/null
  ip netns pids "$space" 2>/dev/null | xargs -r kill 2>/dev/null
  sleep 1
  ip netns delete "$space" 2>/dev/null
  rm -rf "$work" 2>/dev/null
}
trap cleanup EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }

(cd "$work" && apt-get -q download "firefox-esr=$version") >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
dpkg -x "$work"/firefox-esr_*.deb "$work/root" || exit 2
program=$work/root/usr/lib/firefox-esr/firefox-esr
[ -x "$program" ] || exit 2
if LD_LIBRARY_PATH=$work/root/usr/lib/firefox-esr ldd "$work"/root/usr/lib/firefox-esr/libxul.so | grep -q 'not found'; then
  echo "libraries of firefox-esr are missing"
  exit 2
fi

ip netns add "$space" || exit 2
ip -n "$space" link set lo up
ip -n "$space" link add media0 type veth peer name media1 || exit 2
ip -n "$space" address add 10.0.0.1/24 dev media0
ip -n "$space" link set media0 up
ip -n "$space" link set media1 up

cat >"$work/page.html" <<'HTML'
<!doctype html><script>
const connection = new RTCPeerConnection();
const candidates = [];
connection.onicecandidate = ({ candidate }) => {
  if (candidate !== null && candidate.candidate.includes('10.0.0.1')) candidates.push(candidate);
};
connection.createDataChannel('x');
connection.createOffer().then((offer) => connection.setLocalDescription(offer)).then(() => setTimeout(() => {
  const { iceGatheringState, connectionState } = connection;
  dump(`RESULT candidates=${candidates.length > 0} gathering=${iceGatheringState} connection=${connectionState}\n`);
}, 3000));
</script>
HTML

try() { # try NAME: what the page says
  local profile=$work/$1 log=$work/$1.log
  mkdir "$profile"
  cat >"$profile/user.js" <<'JS'
user_pref("browser.dom.window.dump.enabled", true);
user_pref("network.manage-offline-status", false);
user_pref("media.peerconnection.ice.obfuscate_host_addresses", false);
user_pref("app.normandy.enabled", false);
user_pref("app.update.disabledForTesting", true);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
JS
  HOME=$work TMPDIR=$profile MOZ_CRASHREPORTER_DISABLE=1 ip netns exec "$space" "$program" --headless --no-remote \
    --profile "$profile" "file://$work/page.html" >"$log" 2>&1 &
  browser=$!
  for _ in $(seq 1 60); do
    sleep 1
    grep -q RESULT "$log" && break
  done
  kill "$browser" 2>/dev/null
  wait "$browser" 2>/dev/null
  browser=""
  grep -o 'RESULT.*' "$log" || echo "RESULT none"
}

without=$(try without)
ip -n "$space" route add default via 10.0.0.254
with=$(try with)
echo "without a default route: $without"
echo "with one to nowhere:     $with"
[ "$without" != "RESULT none" ] && [ "$with" != "RESULT none" ] || exit 2
[ "$without" = "RESULT candidates=false gathering=new connection=failed" ] || exit 1
[ "$with" = "RESULT candidates=true gathering=complete connection=new" ] || exit 1
