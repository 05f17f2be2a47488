/* The limit: programs that look nothing up, check nothing but bounds, count nothing, and write
 * constants into every IPv4 UDP packet, with checksums right. And ones that only drop: what the
 * sender and the device cost. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../../native/bpf/checksum.h"
#include "bare.h"

char _license[] SEC("license") = "Dual BSD/GPL";

const volatile struct bare_rewrite rewrite SEC(".rodata.rewrite") = {};

struct headers {
  struct ethhdr ethernet;
  struct iphdr ip;
  struct udphdr udp;
} __attribute__((packed));

struct change {
  __u64 addresses;
  __u32 ports_from;
  __u32 ports_to;
};

static __always_inline int is_udp(const struct headers* packet, const void* end) {
  return (const void*)(packet + 1) <= end && packet->ethernet.h_proto == bpf_htons(ETH_P_IP) &&
         packet->ip.protocol == IPPROTO_UDP;
}

static __always_inline void write_constants(struct headers* packet, struct change* change) {
  __u32* ports = (void*)packet + offsetof(struct headers, udp);
  __u16* fifth = (void*)packet + offsetof(struct headers, ip.ttl);
  __u32 old_fifth = *fifth;
  change->addresses = sum_change_word(packet->ip.saddr, rewrite.source) +
                      sum_change_word(packet->ip.daddr, rewrite.destination);
  change->ports_from = *ports;
  __builtin_memcpy(packet->ethernet.h_dest, (const void*)rewrite.to, ETH_ALEN);
  __builtin_memcpy(packet->ethernet.h_source, (const void*)rewrite.from, ETH_ALEN);
  packet->ip.saddr = rewrite.source;
  packet->ip.daddr = rewrite.destination;
  packet->ip.ttl--;
  packet->ip.check =
      checksum_update(packet->ip.check, change->addresses + sum_change_word(old_fifth, *fifth));
  packet->udp.source = rewrite.source_port;
  packet->udp.dest = rewrite.destination_port;
  change->ports_to = *ports;
}

SEC("tc")
int bare_tc(struct __sk_buff* skb) {
  struct headers* packet = (void*)(long)skb->data;
  if (!is_udp(packet, (void*)(long)skb->data_end))
    return TC_ACT_UNSPEC;
  struct change change;
  write_constants(packet, &change);
  __u32 at = offsetof(struct headers, udp) + offsetof(struct udphdr, check);
  bpf_l4_csum_replace(skb, at, 0, fold_to_32(change.addresses),
                      BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0);
  bpf_l4_csum_replace(skb, at, change.ports_from, change.ports_to,
                      BPF_F_MARK_MANGLED_0 | sizeof(__u32));
  return (int)bpf_redirect(rewrite.ifindex, 0);
}

SEC("xdp")
int bare_xdp(struct xdp_md* xdp) {
  struct headers* packet = (void*)(long)xdp->data;
  if (!is_udp(packet, (void*)(long)xdp->data_end))
    return XDP_PASS;
  struct change change;
  write_constants(packet, &change);
  if (packet->udp.check) {
    __u16 sum = checksum_update(
        packet->udp.check, change.addresses + sum_change_word(change.ports_from, change.ports_to));
    packet->udp.check = sum ? sum : 0xffff;
  }
  return rewrite.ifindex ? (int)bpf_redirect(rewrite.ifindex, 0) : XDP_TX;
}

SEC("tc")
int drop_tc(struct __sk_buff* skb) {
  struct headers* packet = (void*)(long)skb->data;
  return is_udp(packet, (void*)(long)skb->data_end) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("xdp")
int drop_xdp(struct xdp_md* xdp) {
  struct headers* packet = (void*)(long)xdp->data;
  return is_udp(packet, (void*)(long)xdp->data_end) ? XDP_DROP : XDP_PASS;
}
