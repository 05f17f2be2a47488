/* Layout of the maps that the BPF programs share with the loader (native/kernel).
 *
 * Plain C, fixed sizes, no implicit padding: maps outlive processes, so a change of any structure
 * or number here needs a new FLOW_LAYOUT_VERSION; the loader then replaces what an older process
 * left pinned. Addresses and ports are in network byte order, everything else in host order.
 */
#pragma once

#include <linux/types.h>

#define FLOW_LAYOUT_VERSION 2u

/* Flow::family, both in key and value. */
enum flow_family { FLOW_IPV4 = 4, FLOW_IPV6 = 6 };

/* What happens to packets that arrive at a flow's local port. */
enum flow_action { FLOW_FORWARD = 0, FLOW_DROP = 1, FLOW_UP = 2 };

/* Bits of flow::flags. */
enum flow_flag {
  FLOW_CHECK_SOURCE = 1 << 0,  /* only `expected` may send; others go up */
  FLOW_STRICT_SOURCE = 1 << 1, /* with CHECK_SOURCE: others are dropped */
  FLOW_SET_DSCP = 1 << 2,      /* DSCP of `tos`; ECN bits stay (RFC 3168 §5) */
  FLOW_CHECK_PT = 1 << 3,      /* RTP payload types outside `payload_types` go up */
  FLOW_DROP_PT = 1 << 4,       /* with CHECK_PT: they are dropped */
  FLOW_RTCP_UP = 1 << 5,       /* RTCP on this port goes up (RFC 5761 §4: types 64 to 95) */
  FLOW_RTCP_SECOND = 1 << 6,   /* RTCP goes to `rtcp_destination` from `rtcp_source` */
  FLOW_OPAQUE = 1 << 7,        /* not RTP (T.38): forward whatever comes, look at no byte of it */
  FLOW_RTCP_ORPHAN = 1 << 8,   /* RTCP goes up while a socket of this machine would get it */
};

/* Why a packet was not forwarded. From FLOW_FIRST_REASON on, the flow is known and counts it. */
enum flow_reason {
  FLOW_FORWARDED = 0,
  FLOW_NOT_UDP,    /* not IPv4 or IPv6 with UDP: not ours */
  FLOW_NO_FLOW,    /* UDP to an address and port without flow */
  FLOW_MALFORMED,  /* lengths contradict each other */
  FLOW_FRAGMENT,   /* RFC 791 §3.2, RFC 8200 §4.5 */
  FLOW_OPTIONS,    /* IPv4 options or IPv6 extension headers */
  FLOW_OTHER_HOST, /* another MAC address: flooded or overheard */
  FLOW_VLAN,       /* tag of a VLAN that is not ours, or more than one */
  FLOW_SEGMENTS,   /* several datagrams in one buffer (UDP GRO or GSO) */
  FLOW_FIRST_REASON,
  FLOW_ACTION_UP = FLOW_FIRST_REASON, /* the flow says so */
  FLOW_ACTION_DROP,                   /* dropped: the flow says so (block) */
  FLOW_SOURCE_UP,                     /* not the expected source */
  FLOW_SOURCE_DROP,                   /* dropped: not the expected source, strict */
  FLOW_STUN,                          /* RFC 7983 §7: first byte 0 to 3 */
  FLOW_DTLS,                          /* 20 to 63 */
  FLOW_UNKNOWN,                       /* neither of these nor 128 to 191 */
  FLOW_SHORT,                         /* less than a whole RTP or RTCP header */
  FLOW_RTCP,                          /* RTCP that is wanted above */
  FLOW_PT_UP,                         /* payload type outside the allowed ones */
  FLOW_PT_DROP,                       /* dropped: payload type outside the allowed ones */
  FLOW_TTL,                           /* TTL or hop limit used up */
  FLOW_CHECKSUM,                      /* IPv6 without UDP checksum (RFC 8200 §8.1) */
  FLOW_BRIDGED,                       /* IPv4 to IPv6 or back */
  FLOW_FORWARDING_OFF,                /* the kernel looks up no route: forwarding is off */
  FLOW_NO_ROUTE,                      /* no route, or the destination is this machine */
  FLOW_NO_NEIGHBOUR,                  /* ARP or ND has not resolved the next hop */
  FLOW_TOO_BIG,                       /* larger than the path's MTU */
  FLOW_NO_DEVICE,                     /* XDP cannot send on the device the route names */
  FLOW_REWRITE,                       /* dropped: a helper failed half way */
  FLOW_REASONS
};

#define FLOW_COUNTED_REASONS (FLOW_REASONS - FLOW_FIRST_REASON)

struct flow_address {
  __be32 words[4]; /* IPv4: the first */
};

struct flow_key {
  struct flow_address address;
  __be16 port;
  __u8 family;
  __u8 reserved;
};

struct flow_endpoint {
  struct flow_address address;
  __be16 port;
  __u8 family; /* 0: none */
  __u8 reserved;
};

struct flow {
  __u32 slot; /* index into the counters map */
  __u16 flags;
  __u8 action;
  __u8 tos;
  __u32 clock_rate;  /* Hz, as set; for listing */
  __u32 clock_scale; /* clock_rate * 2^32 / 10^9: RTP time units per ns, 32.32 fixed point */
  __u64 payload_types[2];
  struct flow_endpoint source;
  struct flow_endpoint destination;
  struct flow_endpoint expected;
  struct flow_endpoint rtcp_source;
  struct flow_endpoint rtcp_destination;
  __u32 reserved;
};

/* Copies of flows for the short way (fast.h): IPv4, forwarded, no payload type checked, RTP. Small,
 * so that few cache lines are touched: with the kernel's own 48 bytes an entry takes 96. The flow
 * in the other map counts; a copy that is missing costs only time. */
struct fast_key {
  __be32 address;
  __be16 port;
  __u16 reserved;
};

struct fast_flow {
  __u32 slot; /* as in struct flow, and so are all others */
  __u32 clock_scale;
  __be32 source;
  __be32 destination;
  __be32 expected;
  __be16 source_port;
  __be16 destination_port;
  __be16 expected_port; /* 0: whoever sends */
  __u8 set_dscp;
  __u8 tos;
  __u64 reserved;
};

/* One per flow, in an array by `slot`: the loader maps it into memory and reads without a system
 * call. `packets` and `bytes` (UDP payload) count what was forwarded, atomically. The rest is
 * written by one CPU in practice (receive hashing keeps a flow on one); a rare race costs a
 * sample of jitter, never a packet count. */
struct flow_counters {
  /* What every packet writes fills one cache line. */
  __u64 packets;
  __u64 bytes;
  __u64 last_ns; /* last packet of any kind, CLOCK_MONOTONIC */
  __u64 rtp_ns;  /* RTP packet `sample` */
  __u32 ssrc;
  __u32 highest;   /* extended highest sequence number (RFC 3550 §A.1) */
  __u32 received;  /* RTP packets, all SSRCs */
  __u32 jitter;    /* RFC 3550 §A.8, RTP time units * 16 */
  __u32 timestamp; /* RTP timestamp of `sample` */
  __u16 seen;      /* an RTP packet has been seen: ssrc and what follows are valid */
  __u16 sample;    /* sequence number; valid when rtp_ns is not 0 */
  __u32 base;      /* first sequence number since SSRC change or restart */
  __u32 restarts;  /* SSRC changes and jumps of the sequence number */

  __u32 expected_before; /* packets expected of earlier SSRCs and before restarts */
  __u32 reserved;
  __u64 rtcp_packets; /* of `packets`: those to the second destination */
  __u64 rtcp_bytes;
  __u32 reasons[FLOW_COUNTED_REASONS];
  __u32 unused[6];
};

/* Interface index that routes are looked up from, by family; 0: the device of arrival. The kernel
 * wants forwarding enabled on it; with the loopback device that is a harmless setting, and gives
 * the routes of locally sent packets, which is what a relay's are. */
struct flow_lookup {
  __u32 from_ipv4;
  __u32 from_ipv6;
};

/* Where packets between two addresses leave: the answer of a route lookup, kept for a moment. */
struct flow_next_hop {
  struct flow_address source;
  struct flow_address destination;
  __u64 until_ns; /* CLOCK_MONOTONIC; 0: nothing here */
  __u32 from;     /* the device that the route was looked up from */
  __u32 ifindex;
  __u32 mtu;
  __u8 family;
  __u8 tos;
  __u8 destination_mac[6];
  __u8 source_mac[6];
  __u8 arrival_mac[6]; /* ours on `arrived_on` */
  __u32 arrived_on;    /* XDP: frames from there go the way of the last; 0: it has to be found */
  __u32 generation;    /* it is of no use when `route_generation` is another */
};

/* A device with our program, by interface index: a u32 key in every layout, so that any version can
 * detach any other's program. */
struct flow_device {
  __u8 mac[6];
  __u8 reserved[2];
};

/* A VLAN device on top of one with our program. */
struct flow_vlan_key {
  __u32 parent;
  __u32 id;
};

/* Where frames for a VLAN device leave, by that device's interface index. */
struct flow_vlan_egress {
  __u32 parent;
  __u16 id;
  __u16 reserved;
};

/* Single element, written when the maps are made. */
struct flow_meta {
  __u32 layout;
  __u32 max_flows;
  __u32 mode;
  __u32 reserved;
};
