/* Where a forwarded packet leaves: the kernel's own routes and neighbours. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

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

/* On success `fib` holds the device and the two MAC addresses. */
static __always_inline int look_up_route(void* context, const struct packet* packet,
                                         const struct path* path, __u32 arrived_on,
                                         struct bpf_fib_lookup* fib) {
  __u32 from;
  if (packet->key.family == FLOW_IPV4) {
    fib->family = LINUX_AF_INET;
    fib->tos = path->tos;
    fib->ipv4_src = path->source->address.words[0];
    fib->ipv4_dst = path->destination->address.words[0];
    from = lookup.from_ipv4;
  } else {
    fib->family = LINUX_AF_INET6;
    __builtin_memcpy(fib->ipv6_src, path->source->address.words, sizeof(fib->ipv6_src));
    __builtin_memcpy(fib->ipv6_dst, path->destination->address.words, sizeof(fib->ipv6_dst));
    from = lookup.from_ipv6;
  }
  fib->l4_protocol = IPPROTO_UDP;
  fib->sport = path->source->port;
  fib->dport = path->destination->port;
  fib->tot_len = packet->ip_length;
  fib->ifindex = from ? from : arrived_on;
  return route_reason(bpf_fib_lookup(context, fib, sizeof(*fib), 0));
}
