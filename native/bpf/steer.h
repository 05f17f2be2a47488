/* Layout of the maps that the steering program shares with its loader (native/kernel) and with the
 * packet path (native/core), which writes them.
 *
 * Maps outlive processes: a change of any structure here needs a new STEER_LAYOUT_VERSION.
 */
#pragma once

#include "flow.h"

#define STEER_LAYOUT_VERSION 2u

/* Ports that may be open at a time, at least; memory is taken only for those that are. */
#define STEER_LEAST_PORTS 131072

/* Sockets: two for each thread of the packet path, see steer_slot. */
#define STEER_SOCKETS 128

/* Ports of any address, in blocks: most datagrams of a machine are for none of ours, and are told
 * by an array that fits into a processor's cache. What was ever used stays marked. */
#define STEER_BLOCK_BITS 6
#define STEER_BLOCKS (65536 >> STEER_BLOCK_BITS)

/* The key is a flow_key: where packets arrive. The value: the slot of their socket. */
static inline __u32 steer_slot(__u32 worker, enum flow_family family) {
  return worker * 2 + (family == FLOW_IPV6 ? 1 : 0);
}

/* Single element, written when the maps are made. */
struct steer_meta {
  __u32 layout;
  __u32 reserved;
};
