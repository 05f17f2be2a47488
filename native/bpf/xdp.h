/* The XDP program, native or generic. Part of forward.bpf.c. */
#pragma once

/* How the frame leaves. */
struct egress {
  __u32 ifindex;
  __u16 vlan_id;
  __u8 tagged;
  __u8 action; /* XDP_TX or XDP_REDIRECT */
};

static __always_inline void* xdp_data(const struct xdp_md* xdp) { return (void*)(long)xdp->data; }

static __always_inline void* xdp_end(const struct xdp_md* xdp) {
  return (void*)(long)xdp->data_end;
}

static __always_inline int same_mac(const __u8* a, const __u8* b) {
  return *(const __u16*)a == *(const __u16*)b && *(const __u16*)(a + 2) == *(const __u16*)(b + 2) &&
         *(const __u16*)(a + 4) == *(const __u16*)(b + 4);
}

/* XDP sees what the device hears, also frames for others (promiscuous, flooded by a switch). */
static __always_inline int xdp_for_us(const struct xdp_md* xdp) {
  struct ethhdr* ethernet = xdp_data(xdp);
  if ((void*)(ethernet + 1) > xdp_end(xdp))
    return 0;
  __u32 ifindex = xdp->ingress_ifindex;
  struct flow_device* device = bpf_map_lookup_elem(&devices, &ifindex);
  return device && same_mac(device->mac, ethernet->h_dest);
}

static __always_inline int xdp_transmit(const struct xdp_md* xdp, __u32 ifindex,
                                        struct egress* egress) {
  egress->ifindex = ifindex;
  if (ifindex == xdp->ingress_ifindex) {
    egress->action = XDP_TX;
    return 1;
  }
  egress->action = XDP_REDIRECT;
  return bpf_redirect_map(&transmit, ifindex, XDP_ABORTED) == XDP_REDIRECT;
}

/* The device the route names, or the parent of the VLAN device it names. */
static __always_inline int xdp_choose_device(const struct xdp_md* xdp, __u32 ifindex,
                                             struct egress* egress) {
  if (xdp_transmit(xdp, ifindex, egress))
    return FLOW_FORWARDED;
  struct flow_vlan_egress* vlan = bpf_map_lookup_elem(&vlan_egress, &ifindex);
  if (!vlan || !xdp_transmit(xdp, vlan->parent, egress))
    return FLOW_NO_DEVICE;
  egress->tagged = 1;
  egress->vlan_id = vlan->id;
  return FLOW_FORWARDED;
}

static __always_inline int xdp_examine(struct xdp_md* xdp, struct work* work,
                                       struct egress* egress) {
  void* data = xdp_data(xdp);
  void* end = xdp_end(xdp);
  int reason = parse(data, end, (__u32)(end - data), &work->packet);
  if (reason)
    return reason;
  reason = examine(xdp, data, end, xdp->ingress_ifindex, work);
  if (reason)
    return reason;
  if (!xdp_for_us(xdp))
    return FLOW_OTHER_HOST;
  return xdp_choose_device(xdp, work->hop->ifindex, egress);
}

/* RFC 768: 0 means no checksum and stays; a computed 0 is sent as ones. */
static __always_inline int xdp_fix_checksum(struct xdp_md* xdp, const struct packet* packet,
                                            const struct change* change) {
  if (packet->no_checksum)
    return 1;
  struct udphdr* udp = xdp_data(xdp) + (change->udp_offset & 0x7f);
  if ((void*)(udp + 1) > xdp_end(xdp))
    return 0;
  __u64 sum = change->addresses + sum_change_word(change->ports_from, change->ports_to);
  __u16 checksum = checksum_update(udp->check, sum);
  udp->check = checksum ? checksum : 0xffff;
  return 1;
}

/* Ethernet header and tag as the next link wants them; the frame grows or shrinks by a tag. */
static __always_inline int xdp_write_link(struct xdp_md* xdp, const struct work* work,
                                          const struct egress* egress) {
  int tag = (int)sizeof(struct vlan_tag);
  int move = (work->packet.tagged ? tag : 0) - (egress->tagged ? tag : 0);
  if (move && bpf_xdp_adjust_head(xdp, move))
    return 0;
  struct ethhdr* ethernet = xdp_data(xdp);
  struct vlan_tag* after = (struct vlan_tag*)(ethernet + 1);
  if ((void*)(after + 1) > xdp_end(xdp))
    return 0;
  write_ethernet(ethernet, work->hop);
  __be16 protocol =
      work->packet.key.family == FLOW_IPV4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
  ethernet->h_proto = egress->tagged ? bpf_htons(ETH_P_8021Q) : protocol;
  if (egress->tagged) {
    after->tci = bpf_htons(egress->vlan_id);
    after->protocol = protocol;
  }
  return 1;
}

static __always_inline int xdp_rewrite(struct xdp_md* xdp, const struct work* work,
                                       const struct egress* egress) {
  struct change change = {};
  return rewrite(xdp_data(xdp), xdp_end(xdp), &work->packet, &work->path, &change) &&
         xdp_fix_checksum(xdp, &work->packet, &change) && xdp_write_link(xdp, work, egress);
}

/* The next frame from this device to the same place needs no search. Frames that get a tag do. */
static __always_inline void xdp_remember(const struct xdp_md* xdp, const struct work* work,
                                         const struct egress* egress) {
  struct ethhdr* ethernet = xdp_data(xdp);
  if (egress->tagged || (void*)(ethernet + 1) > xdp_end(xdp))
    return;
  __builtin_memcpy(work->hop->arrival_mac, ethernet->h_dest, ETH_ALEN);
  work->hop->arrived_on = xdp->ingress_ifindex;
}

/* The verdict, or FAST_NOT. */
static __always_inline int xdp_fast(struct xdp_md* xdp) {
  void* data = xdp_data(xdp);
  void* end = xdp_end(xdp);
  __u32 arrived_on = xdp->ingress_ifindex;
  struct fast fast;
  if (data + FAST_HEADERS > end ||
      !fast_examine(data, (__u32)(end - data) - ETH_HLEN, arrived_on, &fast) ||
      fast.hop->arrived_on != arrived_on ||
      !same_mac(fast.hop->arrival_mac, ((struct ethhdr*)data)->h_dest))
    return FAST_NOT;
  int verdict = XDP_TX;
  if (fast.hop->ifindex != arrived_on)
    verdict = (int)bpf_redirect_map(&transmit, fast.hop->ifindex, XDP_ABORTED);
  if (verdict == XDP_ABORTED)
    return FAST_NOT;
  count_volume(fast.counters, fast.payload_length, fast.now);
  track_rtp(fast.counters, fast.flow->clock_scale, fast_rtp(data));
  struct change change;
  fast_rewrite(data, &fast, &change);
  struct udphdr* udp = fast_udp(data);
  if (udp->check) {
    __u64 sum = change.addresses + sum_change_word(change.ports_from, change.ports_to);
    __u16 checksum = checksum_update(udp->check, sum);
    udp->check = checksum ? checksum : 0xffff;
  }
  return verdict;
}

/* Everything that is not usual; apart, so that the usual is close together. */
static __noinline int xdp_long(struct xdp_md* xdp) {
  struct work work = {};
  struct egress egress = {};
  int reason = xdp_examine(xdp, &work, &egress);
  if (reason == FLOW_FORWARDED) {
    xdp_remember(xdp, &work, &egress);
    count_forwarded(work.flow, work.kind, work.rtp, work.packet.payload_length, work.now);
    if (xdp_rewrite(xdp, &work, &egress))
      return egress.action;
    reason = FLOW_REWRITE;
  }
  count_refused(&work, reason);
  return is_drop(reason) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int rtprelay_xdp(struct xdp_md* xdp) {
  int verdict = xdp_fast(xdp);
  return verdict == FAST_NOT ? xdp_long(xdp) : verdict;
}
