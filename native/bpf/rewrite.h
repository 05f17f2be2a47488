/* Writing the new addresses, ports, DSCP and TTL into a packet. The UDP checksum is left to the
 * caller, who knows whether it is complete (XDP) or perhaps unfinished (TC). */
#pragma once

#include "checksum.h"
#include "parse.h"
#include "route.h"

/* What the UDP checksum has to learn. Addresses are apart from ports: an unfinished checksum of a
 * local sender covers the pseudo-header only. */
struct change {
  __u64 addresses;
  __u32 ports_from;
  __u32 ports_to;
  __u32 udp_offset;
};

static __always_inline void rewrite_ports(struct udphdr* udp, const struct path* path,
                                          struct change* change) {
  __u32* both = (__u32*)udp;
  change->ports_from = *both;
  udp->source = path->source->port;
  udp->dest = path->destination->port;
  change->ports_to = *both;
}

/* The TTL and the protocol share a word of the header, version, length and TOS another. */
static __always_inline void rewrite_ipv4(struct iphdr* ip, const struct path* path,
                                         struct change* change) {
  __u16* first = (__u16*)ip;
  __u16* fifth = (__u16*)&ip->ttl;
  __u32 old_first = *first, old_fifth = *fifth;
  __u32 old[2] = {ip->saddr, ip->daddr};
  __u32 new[2] = {path->source->address.words[0], path->destination->address.words[0]};
  change->addresses = sum_change(old, new, 2);
  ip->tos = path->tos;
  ip->ttl--;
  ip->saddr = new[0];
  ip->daddr = new[1];
  __u64 header =
      change->addresses + sum_change_word(old_first, *first) + sum_change_word(old_fifth, *fifth);
  ip->check = checksum_update(ip->check, header);
}

static __always_inline void rewrite_ipv6(struct ipv6hdr* ip, const struct path* path,
                                         struct change* change) {
  const __u32* source = path->source->address.words;
  const __u32* destination = path->destination->address.words;
  change->addresses = sum_change(ip->saddr.in6_u.u6_addr32, source, 4) +
                      sum_change(ip->daddr.in6_u.u6_addr32, destination, 4);
  __builtin_memcpy(&ip->saddr, source, sizeof(ip->saddr));
  __builtin_memcpy(&ip->daddr, destination, sizeof(ip->daddr));
  /* RFC 8200 §3: 4 bits of version, 8 of traffic class, 20 of flow label. */
  ip->priority = path->tos >> 4;
  ip->flow_lbl[0] = (__u8)((path->tos << 4) | (ip->flow_lbl[0] & 0x0f));
  ip->hop_limit--;
}

static __always_inline void write_ethernet(struct ethhdr* ethernet,
                                           const struct flow_next_hop* hop) {
  __builtin_memcpy(ethernet->h_dest, hop->destination_mac, ETH_ALEN);
  __builtin_memcpy(ethernet->h_source, hop->source_mac, ETH_ALEN);
}

/* 0 when the packet is not as `parse` saw it. */
static __always_inline int rewrite(void* data, void* end, const struct packet* packet,
                                   const struct path* path, struct change* change) {
  __u32 l2 = link_length(packet);
  void* l3 = data + l2;
  if (packet->key.family == FLOW_IPV4) {
    struct udphdr* udp = l3 + sizeof(struct iphdr);
    if ((void*)(udp + 1) > end)
      return 0;
    rewrite_ipv4(l3, path, change);
    rewrite_ports(udp, path, change);
    change->udp_offset = l2 + sizeof(struct iphdr);
  } else {
    struct udphdr* udp = l3 + sizeof(struct ipv6hdr);
    if ((void*)(udp + 1) > end)
      return 0;
    rewrite_ipv6(l3, path, change);
    rewrite_ports(udp, path, change);
    change->udp_offset = l2 + sizeof(struct ipv6hdr);
  }
  return 1;
}
