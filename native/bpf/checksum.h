/* Incremental Internet checksums (RFC 1624). Sums are kept in 64 bits and folded once. */
#pragma once

#include <linux/types.h>

/* Adds what changing `count` 32-bit words adds to a ones' complement sum (RFC 1624 eqn. 3). */
static __always_inline __u64 sum_change(const __u32* from, const __u32* to, int count) {
  __u64 sum = 0;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (i < count)
      sum += (__u64)(__u32)~from[i] + to[i];
  }
  return sum;
}

static __always_inline __u64 sum_change_word(__u32 from, __u32 to) {
  return (__u64)(__u32)~from + to;
}

static __always_inline __u32 fold_to_32(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  return (__u32)((sum & 0xffffffff) + (sum >> 32));
}

static __always_inline __u16 fold_to_16(__u64 sum) {
  __u32 half = fold_to_32(sum);
  half = (half & 0xffff) + (half >> 16);
  return (__u16)((half & 0xffff) + (half >> 16));
}

/* The checksum field after data covered by it has changed by `change`. */
static __always_inline __u16 checksum_update(__u16 field, __u64 change) {
  return (__u16)~fold_to_16((__u64)(__u16)~field + change);
}
