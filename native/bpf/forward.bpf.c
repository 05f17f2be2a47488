/* Forwards settled RTP and RTCP flows below the socket layer: one core, two programs (TC and XDP).
 *
 * A packet is either forwarded whole or left exactly as it came: nothing is written before every
 * check has passed. What is not forwarded goes up to the daemon's sockets, or is dropped when the
 * flow says so; each with its reason counted.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "count.h"
#include "decide.h"
#include "flow.h"
#include "maps.h"
#include "parse.h"
#include "rewrite.h"
#include "route.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* Bytes that must be readable: Ethernet, tag, IPv6, UDP, RTP. */
#define HEADERS                                                                                    \
  (ETH_HLEN + sizeof(struct vlan_tag) + sizeof(struct ipv6hdr) + sizeof(struct udphdr) +           \
   sizeof(struct rtp_header))

/* What the core found out; `flow` is null when there is none. */
struct work {
  struct packet packet;
  const struct flow* flow;
  const struct rtp_header* rtp;
  enum packet_kind kind;
  struct path path;
  struct flow_next_hop* hop;
  __u64 now;
};

static __always_inline int is_drop(int reason) {
  return reason == FLOW_ACTION_DROP || reason == FLOW_SOURCE_DROP || reason == FLOW_PT_DROP ||
         reason == FLOW_REWRITE;
}

static __always_inline void count_refused(const struct work* work, int reason) {
  if (reason >= FLOW_FIRST_REASON && work->flow)
    count_reason(work->flow, (__u32)reason);
  else
    count_total((__u32)reason);
}

/* The device that routing shall believe the packet came from, or 0 for a VLAN that is not ours. */
static __always_inline __u32 vlan_device(const struct packet* packet, __u32 ifindex) {
  if (!packet->tagged)
    return ifindex;
  struct flow_vlan_key key = {.parent = ifindex, .id = packet->vlan_id};
  __u32* device = bpf_map_lookup_elem(&vlans, &key);
  return device ? *device : 0;
}

static __always_inline __u8 tos_of(const struct work* work, void* l3) {
  __u8 old;
  if (work->packet.key.family == FLOW_IPV4)
    old = ((struct iphdr*)l3)->tos;
  else
    old =
        (__u8)((((struct ipv6hdr*)l3)->priority << 4) | (((struct ipv6hdr*)l3)->flow_lbl[0] >> 4));
  if (!(work->flow->flags & FLOW_SET_DSCP))
    return old;
  return (__u8)((work->flow->tos & 0xfc) | (old & 0x03));
}

static __always_inline int choose_path(struct work* work) {
  const struct flow* flow = work->flow;
  int second = work->kind == KIND_RTCP && (flow->flags & FLOW_RTCP_SECOND);
  work->path.source = second ? &flow->rtcp_source : &flow->source;
  work->path.destination = second ? &flow->rtcp_destination : &flow->destination;
  return work->path.destination->family == work->packet.key.family ? FLOW_FORWARDED : FLOW_BRIDGED;
}

/* Whether somebody would read the packet if it went up: a daemon that is dead does not. */
static __always_inline int has_reader(void* context, const struct packet* packet) {
  struct bpf_sock_tuple tuple = {};
  __u32 size = sizeof(tuple.ipv4);
  if (packet->key.family == FLOW_IPV4) {
    tuple.ipv4.saddr = packet->from.words[0];
    tuple.ipv4.daddr = packet->key.address.words[0];
    tuple.ipv4.sport = packet->from_port;
    tuple.ipv4.dport = packet->key.port;
  } else {
    size = sizeof(tuple.ipv6);
    __builtin_memcpy(tuple.ipv6.saddr, packet->from.words, sizeof(tuple.ipv6.saddr));
    __builtin_memcpy(tuple.ipv6.daddr, packet->key.address.words, sizeof(tuple.ipv6.daddr));
    tuple.ipv6.sport = packet->from_port;
    tuple.ipv6.dport = packet->key.port;
  }
  struct bpf_sock* socket =
      bpf_sk_lookup_udp(context, &tuple, size, (__u64)BPF_F_CURRENT_NETNS, 0);
  if (!socket)
    return 0;
  bpf_sk_release(socket);
  return 1;
}

/* Everything up to the next hop. The context is only handed on to the route helper. */
static __always_inline int examine(void* context, void* data, void* end, __u32 arrived_on,
                                   struct work* work) {
  struct packet* packet = &work->packet;
  work->flow = bpf_map_lookup_elem(&flows, &packet->key);
  if (!work->flow)
    return FLOW_NO_FLOW;
  __u32 from = vlan_device(packet, arrived_on);
  if (!from)
    return FLOW_VLAN;
  void* l3 = data + link_length(packet);
  void* udp =
      l3 + (packet->key.family == FLOW_IPV4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
  if (udp + sizeof(struct udphdr) > end)
    return FLOW_MALFORMED;
  work->rtp = udp + sizeof(struct udphdr);
  int reason = decide(work->flow, packet, work->rtp, end, &work->kind);
  if (reason)
    return reason;
  if (work->kind == KIND_RTCP && (work->flow->flags & FLOW_RTCP_ORPHAN) &&
      has_reader(context, packet))
    return FLOW_RTCP;
  reason = choose_path(work);
  if (reason)
    return reason;
  work->path.tos = tos_of(work, l3);
  work->now = bpf_ktime_get_coarse_ns();
  struct route_query query = {
      .path = &work->path, .ip_length = packet->ip_length, .family = packet->key.family};
  __u32 lookup_from = query.family == FLOW_IPV4 ? lookup.from_ipv4 : lookup.from_ipv6;
  query.from = lookup_from ? lookup_from : from;
  return find_next_hop(context, &query, work->now, &work->hop);
}

#include "fast.h"
#include "tc.h"
#include "xdp.h"
