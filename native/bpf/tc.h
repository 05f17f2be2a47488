/* The TC program: clsact ingress of any Ethernet device. Part of forward.bpf.c. */
#pragma once

#ifndef PACKET_HOST
#define PACKET_HOST 0 /* linux/if_packet.h: for this host's MAC address */
#endif

static __always_inline void* tc_data(const struct __sk_buff* skb) { return (void*)(long)skb->data; }

static __always_inline void* tc_end(const struct __sk_buff* skb) {
  return (void*)(long)skb->data_end;
}

/* Headers may lie outside the linear part of the buffer. */
static __always_inline void tc_pull_headers(struct __sk_buff* skb) {
  __u32 wanted = skb->len < HEADERS ? skb->len : HEADERS;
  if (tc_data(skb) + wanted > tc_end(skb))
    bpf_skb_pull_data(skb, wanted);
}

/* A tag that the driver or the kernel has taken off the frame already. */
static __always_inline int tc_parse(struct __sk_buff* skb, struct packet* packet) {
  int reason = parse(tc_data(skb), tc_end(skb), skb->len, packet);
  if (reason || !skb->vlan_present)
    return reason;
  if (packet->tagged)
    return FLOW_VLAN;
  packet->tagged = 1;
  packet->vlan_id = skb->vlan_tci & VLAN_ID_MASK;
  return FLOW_FORWARDED;
}

static __always_inline int tc_examine(struct __sk_buff* skb, struct work* work) {
  int reason = tc_parse(skb, &work->packet);
  if (reason)
    return reason;
  if (skb->pkt_type != PACKET_HOST)
    return FLOW_OTHER_HOST;
  if (skb->gso_size)
    return FLOW_SEGMENTS;
  return examine(skb, tc_data(skb), tc_end(skb), skb->ifindex, work);
}

/* The helpers know whether the checksum is complete or left to the sending device. */
static __always_inline int tc_fix_checksum(struct __sk_buff* skb, const struct change* change) {
  __u32 offset = change->udp_offset + offsetof(struct udphdr, check);
  if (bpf_l4_csum_replace(skb, offset, 0, fold_to_32(change->addresses),
                          BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0))
    return 0;
  return !bpf_l4_csum_replace(skb, offset, change->ports_from, change->ports_to,
                              BPF_F_MARK_MANGLED_0 | sizeof(__u32));
}

static __always_inline int tc_rewrite(struct __sk_buff* skb, const struct work* work) {
  struct change change = {};
  if (!rewrite(tc_data(skb), tc_end(skb), &work->packet, &work->path, &change))
    return 0;
  if (!tc_fix_checksum(skb, &change))
    return 0;
  if (work->packet.tagged && bpf_skb_vlan_pop(skb))
    return 0;
  struct ethhdr* ethernet = tc_data(skb);
  if ((void*)(ethernet + 1) > tc_end(skb))
    return 0;
  write_ethernet(ethernet, work->hop);
  return 1;
}

/* The verdict, or FAST_NOT. */
static __always_inline int tc_fast(struct __sk_buff* skb) {
  void* data = tc_data(skb);
  struct fast fast;
  if (data + FAST_HEADERS > tc_end(skb) || skb->pkt_type != PACKET_HOST || skb->vlan_present ||
      skb->gso_size || !fast_examine(data, skb->len - ETH_HLEN, skb->ifindex, &fast))
    return FAST_NOT;
  count_volume(fast.counters, fast.payload_length, fast.now);
  track_rtp(fast.counters, fast.flow->clock_scale, fast_rtp(data));
  struct change change;
  fast_rewrite(data, &fast, &change);
  if (tc_fix_checksum(skb, &change))
    return (int)bpf_redirect(fast.hop->ifindex, 0);
  count_total(FLOW_REWRITE);
  return TC_ACT_SHOT;
}

/* Everything that is not usual; apart, so that the usual is close together. */
static __noinline int tc_long(struct __sk_buff* skb) {
  struct work work = {};
  tc_pull_headers(skb);
  int reason = tc_examine(skb, &work);
  if (reason == FLOW_FORWARDED) {
    count_forwarded(work.flow, work.kind, work.rtp, work.packet.payload_length, work.now);
    if (tc_rewrite(skb, &work))
      return (int)bpf_redirect(work.hop->ifindex, 0);
    reason = FLOW_REWRITE;
  }
  count_refused(&work, reason);
  return is_drop(reason) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int rtprelay_tc(struct __sk_buff* skb) {
  int verdict = tc_fast(skb);
  return verdict == FAST_NOT ? tc_long(skb) : verdict;
}
