/* Ethernet, one VLAN tag, IPv4 or IPv6, UDP: up to the flow key. Shared by TC and XDP. */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>

#include "flow.h"

struct vlan_tag {
  __be16 tci;
  __be16 protocol;
};

/* Lowest 12 bits of the tag (IEEE 802.1Q §9.6). */
#define VLAN_ID_MASK 0x0fff
#define IPV4_FRAGMENT_MASK 0x3fff /* more-fragments bit and offset (RFC 791 §3.1) */

/* What is known of a packet; offsets count from the start of the frame. */
struct packet {
  struct flow_key key;
  struct flow_address from;
  __be16 from_port;
  __u16 ip_length; /* IP header and all that belongs to it */
  __u16 payload_length;
  __u16 vlan_id; /* valid when `tagged` */
  __u8 tagged;
  __u8 tag_in_frame; /* not taken off by driver or kernel */
  __u8 ttl;
  __u8 no_checksum;
};

/* Offset of the IP header. */
static __always_inline __u32 link_length(const struct packet* packet) {
  return packet->tag_in_frame ? ETH_HLEN + sizeof(struct vlan_tag) : ETH_HLEN;
}

static __always_inline void copy_ipv4(struct flow_address* out, __be32 address) {
  out->words[0] = address;
  out->words[1] = out->words[2] = out->words[3] = 0;
}

static __always_inline void copy_ipv6(struct flow_address* out, const struct in6_addr* address) {
  __builtin_memcpy(out->words, address, sizeof(out->words));
}

/* The UDP header. Everything after it up to the IP length is payload; padding of the frame isn't.
 */
static __always_inline int parse_udp(void* at, void* end, __u32 room, struct packet* packet) {
  struct udphdr* udp = at;
  if ((void*)(udp + 1) > end)
    return FLOW_MALFORMED;
  __u32 length = bpf_ntohs(udp->len);
  if (length < sizeof(*udp) || length > room)
    return FLOW_MALFORMED;
  packet->payload_length = (__u16)(length - sizeof(*udp));
  packet->key.port = udp->dest;
  packet->from_port = udp->source;
  packet->no_checksum = udp->check == 0;
  return FLOW_FORWARDED;
}

static __always_inline int parse_ipv4(void* at, void* end, __u32 frame_room,
                                      struct packet* packet) {
  struct iphdr* ip = at;
  if ((void*)(ip + 1) > end || ip->version != 4)
    return FLOW_NOT_UDP;
  if (ip->protocol != IPPROTO_UDP)
    return FLOW_NOT_UDP;
  if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_MASK))
    return FLOW_FRAGMENT;
  if (ip->ihl != 5)
    return FLOW_OPTIONS;
  __u32 length = bpf_ntohs(ip->tot_len);
  if (length < sizeof(*ip) || length > frame_room)
    return FLOW_MALFORMED;
  packet->ip_length = (__u16)length;
  packet->ttl = ip->ttl;
  packet->key.family = FLOW_IPV4;
  copy_ipv4(&packet->key.address, ip->daddr);
  copy_ipv4(&packet->from, ip->saddr);
  return parse_udp(ip + 1, end, length - (__u32)sizeof(*ip), packet);
}

/* RFC 8200 §4: hop-by-hop, routing and destination options; fragments apart. */
static __always_inline int ipv6_reason(__u8 next_header) {
  switch (next_header) {
  case IPPROTO_FRAGMENT:
    return FLOW_FRAGMENT;
  case IPPROTO_HOPOPTS:
  case IPPROTO_ROUTING:
  case IPPROTO_DSTOPTS:
    return FLOW_OPTIONS;
  default:
    return FLOW_NOT_UDP;
  }
}

static __always_inline int parse_ipv6(void* at, void* end, __u32 frame_room,
                                      struct packet* packet) {
  struct ipv6hdr* ip = at;
  if ((void*)(ip + 1) > end || ip->version != 6)
    return FLOW_NOT_UDP;
  if (ip->nexthdr != IPPROTO_UDP)
    return ipv6_reason(ip->nexthdr);
  __u32 length = bpf_ntohs(ip->payload_len);
  if (length + sizeof(*ip) > frame_room)
    return FLOW_MALFORMED;
  packet->ip_length = (__u16)(length + sizeof(*ip));
  packet->ttl = ip->hop_limit;
  packet->key.family = FLOW_IPV6;
  copy_ipv6(&packet->key.address, &ip->daddr);
  copy_ipv6(&packet->from, &ip->saddr);
  return parse_udp(ip + 1, end, length, packet);
}

static __always_inline int is_tag(__be16 protocol) {
  return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* `frame_length` counts what is not in linear memory too. */
static __always_inline int parse(void* data, void* end, __u32 frame_length, struct packet* packet) {
  struct ethhdr* ethernet = data;
  if ((void*)(ethernet + 1) > end)
    return FLOW_NOT_UDP;
  __be16 protocol = ethernet->h_proto;
  void* at = ethernet + 1;
  __u32 room = frame_length - ETH_HLEN;
  if (is_tag(protocol)) {
    struct vlan_tag* tag = at;
    if ((void*)(tag + 1) > end)
      return FLOW_NOT_UDP;
    packet->tagged = packet->tag_in_frame = 1;
    packet->vlan_id = bpf_ntohs(tag->tci) & VLAN_ID_MASK;
    protocol = tag->protocol;
    at = tag + 1;
    room -= (__u32)sizeof(*tag);
  }
  if (protocol == bpf_htons(ETH_P_IP))
    return parse_ipv4(at, end, room, packet);
  if (protocol == bpf_htons(ETH_P_IPV6))
    return parse_ipv6(at, end, room, packet);
  return is_tag(protocol) ? FLOW_VLAN : FLOW_NOT_UDP;
}
