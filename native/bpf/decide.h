/* What a flow wants done with a packet, from its source and its first bytes of payload. */
#pragma once

#include <bpf/bpf_endian.h>

#include "flow.h"
#include "parse.h"

/* RFC 3550 §5.1 */
struct rtp_header {
  __u8 first;
  __u8 second; /* marker bit and payload type */
  __be16 sequence;
  __be32 timestamp;
  __be32 ssrc;
};

#define RTCP_SMALLEST 8 /* header and SSRC of the sender (RFC 3550 §6.4) */

enum packet_kind { KIND_OPAQUE, KIND_RTP, KIND_RTCP };

static __always_inline int same_address(const struct flow_address* a, const struct flow_address* b,
                                        __u8 family) {
  if (a->words[0] != b->words[0])
    return 0;
  return family == FLOW_IPV4 ||
         (a->words[1] == b->words[1] && a->words[2] == b->words[2] && a->words[3] == b->words[3]);
}

/* RFC 7983 §7. Sets `kind` when it returns FLOW_FORWARDED. */
static __always_inline int classify(const struct rtp_header* header, const void* end, __u16 length,
                                    enum packet_kind* kind) {
  const __u8* bytes = (const __u8*)header;
  if (length < RTCP_SMALLEST || (const void*)(bytes + RTCP_SMALLEST) > end)
    return FLOW_SHORT;
  if (header->first <= 3)
    return FLOW_STUN;
  if (header->first >= 20 && header->first <= 63)
    return FLOW_DTLS;
  if (header->first < 128 || header->first > 191)
    return FLOW_UNKNOWN;
  __u8 type = header->second & 0x7f;
  if (type >= 64 && type <= 95) { /* RFC 5761 §4 */
    *kind = KIND_RTCP;
    return FLOW_FORWARDED;
  }
  if (length < sizeof(*header) || (const void*)(header + 1) > end)
    return FLOW_SHORT;
  *kind = KIND_RTP;
  return FLOW_FORWARDED;
}

static __always_inline int payload_type_allowed(const struct flow* flow, __u8 type) {
  __u64 half = type & 64 ? flow->payload_types[1] : flow->payload_types[0];
  return (half >> (type & 63)) & 1;
}

static __always_inline int check_source(const struct flow* flow, const struct packet* packet) {
  if (!(flow->flags & FLOW_CHECK_SOURCE))
    return FLOW_FORWARDED;
  if (flow->expected.port == packet->from_port &&
      same_address(&flow->expected.address, &packet->from, packet->key.family))
    return FLOW_FORWARDED;
  return flow->flags & FLOW_STRICT_SOURCE ? FLOW_SOURCE_DROP : FLOW_SOURCE_UP;
}

/* FLOW_FORWARDED or the reason against it. STUN and DTLS go up whatever the source and even when
 * media is blocked: they are for the daemon. The caller has checked `header` + 12 bytes, or
 * `length` says that there is less. */
static __always_inline int decide(const struct flow* flow, const struct packet* packet,
                                  const struct rtp_header* header, const void* end,
                                  enum packet_kind* kind) {
  if (flow->action == FLOW_UP)
    return FLOW_ACTION_UP;
  *kind = KIND_OPAQUE;
  if (!(flow->flags & FLOW_OPAQUE)) {
    int reason = classify(header, end, packet->payload_length, kind);
    if (reason)
      return reason;
  }
  int reason = check_source(flow, packet);
  if (reason)
    return reason;
  if (*kind == KIND_RTCP && (flow->flags & FLOW_RTCP_UP))
    return FLOW_RTCP;
  if (flow->action == FLOW_DROP)
    return FLOW_ACTION_DROP;
  if (*kind == KIND_RTP && (flow->flags & FLOW_CHECK_PT) &&
      !payload_type_allowed(flow, header->second & 0x7f))
    return flow->flags & FLOW_DROP_PT ? FLOW_PT_DROP : FLOW_PT_UP;
  if (packet->ttl <= 1)
    return FLOW_TTL;
  if (packet->no_checksum && packet->key.family == FLOW_IPV6)
    return FLOW_CHECKSUM;
  return FLOW_FORWARDED;
}
