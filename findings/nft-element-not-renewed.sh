#!/usr/bin/env bash
# nftables 1.0.6 (Debian 12: 1.0.6-2+deb12u2) on Linux 6.18: elements with a timeout, as a firewall has them that opens the
# ports of calls for as long as somebody renews them.
#
# Guessed: `nft add element` for an element that is there renews it, the more so as it is done without an error: the time
#          runs anew.
# Seen:    with the same timeout, or the set's own, nothing happens: it goes when it would have gone. With any other timeout,
#          be it by a second, the time runs anew, and so it does with the same one and `expires` written out, or when the
#          element is deleted and added in one transaction. `nft` says nothing and returns 0 each time.
# So what keeps calls open by adding their elements once a minute cuts all of them at the first timeout, and tries that
# lengthen the timeout, the natural ones, do not show it.
#
# Output seen (timeout 4 s, done again after 2 s: is the element there after 5 s?):
#   added again: no
#   added again, set's own timeout: no
#   added again with timeout 5s: yes
#   added again with expires: yes
#   deleted and added: yes
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (a network namespace
# of its own), ip, and Debian 12's package lists.
set -u
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
work=$(mktemp -d) || exit 2
name=""
cleanup() { [ -z "$name" ] || ip netns del "$name"; rm -rf "$work"; }
trap cleanup EXIT
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install nftables=1.0.6-2+deb12u2) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
ip netns add "elements-$$" || exit 2
name="elements-$$"
nft() { ip netns exec "$name" chroot "$work/root" /usr/sbin/nft "$@"; }

nft 'table inet calls { set ports { type inet_service; flags timeout; timeout 4s; }; }' || exit 2
cases=("added again" "added again, set's own timeout" "added again with timeout 5s" "added again with expires" "deleted and added")
nft add element inet calls ports '{ 10001 timeout 4s, 10002, 10003 timeout 4s, 10004 timeout 4s, 10005 timeout 4s, 10006 timeout 4s }' || exit 2
sleep 2
nft add element inet calls ports '{ 10001 timeout 4s }' && nft add element inet calls ports '{ 10002 }' &&
  nft add element inet calls ports '{ 10003 timeout 5s }' && nft add element inet calls ports '{ 10004 timeout 4s expires 4s }' &&
  nft 'delete element inet calls ports { 10005 }; add element inet calls ports { 10005 timeout 4s }' || exit 1
sleep 3
present=$(nft list set inet calls ports)
results=()
for port in 10001 10002 10003 10004 10005 10006; do
  if grep -q "$port" <<<"$present"; then results+=(yes); else results+=(no); fi
done
for n in "${!cases[@]}"; do echo "${cases[n]}: ${results[n]}"; done
[ "${results[5]}" = no ] || exit 2
[ "${results[*]}" = "no no yes yes yes no" ]
