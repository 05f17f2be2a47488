/* What the bare programs write into every packet. Shared with bench.cc. */
#pragma once

#include <linux/types.h>

struct bare_rewrite {
  __u8 to[6];
  __u8 from[6];
  __be32 source;
  __be32 destination;
  __be16 source_port;
  __be16 destination_port;
  __u32 ifindex; /* 0: back by the device of arrival (XDP_TX) */
};
