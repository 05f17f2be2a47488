/* The short way for what nearly all packets are: RTP over untagged IPv4 from the expected source of
 * a flow that only wants it forwarded, to a next hop that is known. Touches few cache lines, as
 * little code as possible, and nothing before every check has passed; whatever is different in any
 * way takes the long way (examine), which decides and counts on its own. */
#pragma once

#include "count.h"
#include "maps.h"
#include "parse.h"
#include "rewrite.h"
#include "route.h"

/* No verdict of TC or XDP: the packet is as it came, and nothing has been counted. */
#define FAST_NOT (-100)

#define IPV4_WITHOUT_OPTIONS 0x45 /* version 4, header of 5 words (RFC 791 §3.1) */

/* All that the short way reads. */
#define FAST_HEADERS                                                                               \
  (ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) + sizeof(struct rtp_header))

struct fast {
  const struct fast_flow* flow;
  struct flow_counters* counters;
  struct flow_next_hop* hop;
  __u64 now;
  __u16 payload_length;
  __u8 tos;
};

static __always_inline struct iphdr* fast_ip(void* data) { return data + ETH_HLEN; }
static __always_inline struct udphdr* fast_udp(void* data) {
  return data + ETH_HLEN + sizeof(struct iphdr);
}
static __always_inline struct rtp_header* fast_rtp(void* data) {
  return data + ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr);
}

/* RFC 7983 §7, RFC 5761 §4: neither STUN nor DTLS nor RTCP. */
static __always_inline int is_plain_rtp(const struct rtp_header* rtp) {
  return (rtp->first & 0xc0) == 0x80 && (__u8)((rtp->second & 0x7f) - 64) > 31;
}

/* Whole, and in one piece. `room`: bytes from the IP header on. */
static __always_inline int is_plain_udp(const struct iphdr* ip, const struct udphdr* udp,
                                        __u32 room) {
  if (*(const __u8*)ip != IPV4_WITHOUT_OPTIONS || ip->protocol != IPPROTO_UDP || ip->ttl <= 1 ||
      (ip->frag_off & bpf_htons(IPV4_FRAGMENT_MASK)))
    return 0;
  __u32 whole = bpf_ntohs(ip->tot_len), length = bpf_ntohs(udp->len);
  return whole <= room && length >= sizeof(*udp) + sizeof(struct rtp_header) &&
         length + sizeof(*ip) <= whole;
}

static __always_inline int find_fast_flow(const struct iphdr* ip, const struct udphdr* udp,
                                          struct fast* out) {
  struct fast_key key = {.address = ip->daddr, .port = udp->dest};
  out->flow = bpf_map_lookup_elem(&fast_flows, &key);
  if (!out->flow)
    return 0;
  out->counters = counters_at(out->flow->slot);
  return out->counters && (!out->flow->expected_port || (out->flow->expected == ip->saddr &&
                                                         out->flow->expected_port == udp->source));
}

static __always_inline int find_fast_hop(const struct iphdr* ip, __u32 arrived_on,
                                         struct fast* out) {
  const struct fast_flow* flow = out->flow;
  out->tos = flow->set_dscp ? (__u8)((flow->tos & 0xfc) | (ip->tos & 0x03)) : ip->tos;
  __u32 index = next_hop_index(flow->destination);
  struct flow_next_hop* hop = bpf_map_lookup_elem(&next_hops, &index);
  if (!hop)
    return 0;
  out->hop = hop;
  out->now = bpf_ktime_get_coarse_ns();
  __u32 from = lookup.from_ipv4 ? lookup.from_ipv4 : arrived_on;
  return out->now < hop->until_ns && hop->generation == route_generation && hop->from == from &&
         hop->family == FLOW_IPV4 && hop->tos == out->tos && bpf_ntohs(ip->tot_len) <= hop->mtu &&
         hop->destination.words[0] == flow->destination && hop->source.words[0] == flow->source;
}

/* 0: the long way. The caller has checked FAST_HEADERS against the packet's end. */
static __always_inline int fast_examine(void* data, __u32 room, __u32 arrived_on,
                                        struct fast* out) {
  const struct ethhdr* ethernet = data;
  const struct iphdr* ip = fast_ip(data);
  const struct udphdr* udp = fast_udp(data);
  if (ethernet->h_proto != bpf_htons(ETH_P_IP) || !is_plain_udp(ip, udp, room) ||
      !is_plain_rtp(fast_rtp(data)) || !find_fast_flow(ip, udp, out) ||
      !find_fast_hop(ip, arrived_on, out))
    return 0;
  out->payload_length = (__u16)(bpf_ntohs(udp->len) - sizeof(*udp));
  return 1;
}

/* Everything but the UDP checksum. */
static __always_inline void fast_rewrite(void* data, const struct fast* fast,
                                         struct change* change) {
  const struct fast_flow* flow = fast->flow;
  struct flow_endpoint source = {.port = flow->source_port};
  struct flow_endpoint destination = {.port = flow->destination_port};
  source.address.words[0] = flow->source;
  destination.address.words[0] = flow->destination;
  struct path path = {.source = &source, .destination = &destination, .tos = fast->tos};
  rewrite_ipv4(fast_ip(data), &path, change);
  rewrite_ports(fast_udp(data), &path, change);
  change->udp_offset = ETH_HLEN + sizeof(struct iphdr);
  write_ethernet(data, fast->hop);
}
