/* Where a forwarded packet leaves: the kernel's own routes and neighbours. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "decide.h"
#include "flow.h"
#include "maps.h"
#include "parse.h"

#define LINUX_AF_INET 2
#define LINUX_AF_INET6 10

/* The addresses a packet leaves with. */
struct path {
  const struct flow_endpoint* source;
  const struct flow_endpoint* destination;
  __u8 tos;
};

static __always_inline int route_reason(long result) {
  switch (result) {
  case BPF_FIB_LKUP_RET_SUCCESS:
    return FLOW_FORWARDED;
  case BPF_FIB_LKUP_RET_FWD_DISABLED:
    return FLOW_FORWARDING_OFF;
  case BPF_FIB_LKUP_RET_NO_NEIGH:
    return FLOW_NO_NEIGHBOUR;
  case BPF_FIB_LKUP_RET_FRAG_NEEDED:
    return FLOW_TOO_BIG;
  default:
    return FLOW_NO_ROUTE;
  }
}

/* The lookup costs as much as all the rest of the program. Its answer serves for a moment, in which
 * a sender of speech sends a handful of packets; the loader lets all answers age at once when it
 * hears that routes or neighbours have changed. */
#define NEXT_HOP_FRESH_NS 100000000

/* A question to the routing table. */
struct route_query {
  const struct path* path;
  __u32 from;
  __u16 ip_length;
  __u8 family;
};

static __always_inline __u32 next_hop_index(__u32 address) {
  return ((address * 2654435761u) >> 24) % NEXT_HOPS;
}

static __always_inline struct flow_next_hop* next_hop_entry(const struct flow_endpoint* to) {
  const __be32* words = to->address.words;
  __u32 index = next_hop_index(words[0] ^ words[1] ^ words[2] ^ words[3]);
  return bpf_map_lookup_elem(&next_hops, &index);
}

static __always_inline int serves(const struct flow_next_hop* hop, const struct route_query* query,
                                  __u64 now) {
  const struct path* path = query->path;
  return now < hop->until_ns && hop->generation == route_generation &&
         query->ip_length <= hop->mtu && hop->from == query->from && hop->family == query->family &&
         hop->tos == path->tos &&
         same_address(&hop->destination, &path->destination->address, query->family) &&
         same_address(&hop->source, &path->source->address, query->family);
}

static __always_inline long ask_kernel(void* context, const struct route_query* query,
                                       struct bpf_fib_lookup* fib) {
  const struct path* path = query->path;
  if (query->family == FLOW_IPV4) {
    fib->family = LINUX_AF_INET;
    fib->tos = path->tos;
    fib->ipv4_src = path->source->address.words[0];
    fib->ipv4_dst = path->destination->address.words[0];
  } else {
    fib->family = LINUX_AF_INET6;
    __builtin_memcpy(fib->ipv6_src, path->source->address.words, sizeof(fib->ipv6_src));
    __builtin_memcpy(fib->ipv6_dst, path->destination->address.words, sizeof(fib->ipv6_dst));
  }
  fib->l4_protocol = IPPROTO_UDP;
  fib->sport = path->source->port;
  fib->dport = path->destination->port;
  fib->tot_len = query->ip_length;
  fib->ifindex = query->from;
  return bpf_fib_lookup(context, fib, sizeof(*fib), 0);
}

/* Linux 5.12 and later give the MTU back in place of the length; before, a longer packet simply
 * asks again. */
static __always_inline void keep(struct flow_next_hop* hop, const struct route_query* query,
                                 const struct bpf_fib_lookup* fib, __u64 now) {
  hop->source = query->path->source->address;
  hop->destination = query->path->destination->address;
  hop->until_ns = now + NEXT_HOP_FRESH_NS;
  hop->from = query->from;
  hop->ifindex = fib->ifindex;
  hop->mtu = fib->tot_len;
  hop->family = query->family;
  hop->tos = query->path->tos;
  hop->arrived_on = 0;
  hop->generation = route_generation;
  __builtin_memcpy(hop->destination_mac, fib->dmac, sizeof(hop->destination_mac));
  __builtin_memcpy(hop->source_mac, fib->smac, sizeof(hop->source_mac));
}

/* FLOW_FORWARDED with `out` pointing to the next hop, or the reason why there is none. */
static __always_inline int find_next_hop(void* context, const struct route_query* query, __u64 now,
                                         struct flow_next_hop** out) {
  struct flow_next_hop* hop = next_hop_entry(query->path->destination);
  if (!hop)
    return FLOW_NO_ROUTE;
  *out = hop;
  if (serves(hop, query, now))
    return FLOW_FORWARDED;
  struct bpf_fib_lookup fib = {};
  int reason = route_reason(ask_kernel(context, query, &fib));
  if (!reason)
    keep(hop, query, &fib, now);
  return reason;
}
