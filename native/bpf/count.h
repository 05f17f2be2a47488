/* Counters of flows and totals by reason. */
#pragma once

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "decide.h"
#include "flow.h"
#include "maps.h"

/* RFC 3550 §A.1: larger jumps of the sequence number are a restart of the sender. */
#define MAX_DROPOUT 3000
#define MAX_MISORDER 100

static __always_inline void count_total(__u32 reason) {
  __u64* total = bpf_map_lookup_elem(&totals, &reason);
  if (total)
    *total += 1;
}

static __always_inline struct flow_counters* counters_at(__u32 slot) {
  return bpf_map_lookup_elem(&counters, &slot);
}

/* A packet of a known flow that is not forwarded. */
static __always_inline void count_reason(const struct flow* flow, __u32 reason) {
  struct flow_counters* counters = counters_at(flow->slot);
  __u32 index = reason - FLOW_FIRST_REASON;
  if (counters && index < FLOW_COUNTED_REASONS)
    __sync_fetch_and_add(&counters->reasons[index], 1);
  count_total(reason);
}

static __always_inline void restart_sequence(struct flow_counters* counters, __u16 sequence) {
  if (counters->seen) {
    counters->expected_before += counters->highest - counters->base + 1;
    counters->restarts++;
  }
  counters->base = counters->highest = sequence;
}

/* RFC 3550 §A.1, without probation: a stream is in the kernel because it is settled. Returns
 * whether the packet continues the sequence. */
static __always_inline int track_sequence(struct flow_counters* counters, __u16 sequence) {
  __u16 ahead = (__u16)(sequence - (__u16)counters->highest);
  if (ahead < MAX_DROPOUT) {
    counters->highest += ahead;
    return 1;
  }
  if (ahead > (__u16)-MAX_MISORDER) /* late or twice */
    return 1;
  restart_sequence(counters, sequence);
  return 0;
}

/* RFC 3550 §A.8. Only differences between packets count, so nothing has to be divided. */
static __always_inline void track_jitter(struct flow_counters* counters, __u32 clock_scale,
                                         __u32 timestamp, __u64 now) {
  __u64 elapsed = now - counters->rtp_ns;
  if (elapsed >> 32) /* a silence of more than 4 s says nothing about jitter */
    return;
  __s32 difference =
      (__s32)((__u32)((elapsed * clock_scale) >> 32) - (timestamp - counters->timestamp));
  __u32 size = difference < 0 ? -(__u32)difference : (__u32)difference;
  if (size >> 27) /* the sender's timestamps jumped */
    return;
  counters->jitter += size - ((counters->jitter + 8) >> 4);
}

/* The exact time is worth more than the rest of this file, so only two neighbours of every
 * JITTER_EVERY packets are timed, those with the lowest sequence numbers modulo that. */
#define JITTER_EVERY 8

static __always_inline void sample_jitter(struct flow_counters* counters, __u32 clock_scale,
                                          __u16 sequence, __u32 timestamp) {
  __u16 phase = sequence & (JITTER_EVERY - 1);
  if (phase > 1)
    return;
  __u64 now = bpf_ktime_get_ns();
  if (phase == 1 && counters->rtp_ns && counters->sample == (__u16)(sequence - 1))
    track_jitter(counters, clock_scale, timestamp, now);
  counters->rtp_ns = now;
  counters->timestamp = timestamp;
  counters->sample = sequence;
}

static __always_inline void track_rtp(struct flow_counters* counters, __u32 clock_scale,
                                      const struct rtp_header* rtp) {
  __u16 sequence = bpf_ntohs(rtp->sequence);
  __u32 ssrc = bpf_ntohl(rtp->ssrc);
  counters->received++;
  if (!counters->seen || counters->ssrc != ssrc) {
    restart_sequence(counters, sequence);
    counters->ssrc = ssrc;
    counters->seen = 1;
    counters->jitter = 0;
    counters->rtp_ns = 0;
  } else if (!track_sequence(counters, sequence)) {
    return;
  }
  sample_jitter(counters, clock_scale, sequence, bpf_ntohl(rtp->timestamp));
}

static __always_inline void count_volume(struct flow_counters* counters, __u32 bytes, __u64 now) {
  count_total(FLOW_FORWARDED);
  __sync_fetch_and_add(&counters->packets, 1);
  __sync_fetch_and_add(&counters->bytes, bytes);
  counters->last_ns = now;
}

/* A packet that is forwarded. `rtp` has been checked against the packet's end when `kind` needs it.
 */
static __always_inline void count_forwarded(const struct flow* flow, enum packet_kind kind,
                                            const struct rtp_header* rtp, __u32 bytes, __u64 now) {
  struct flow_counters* counters = counters_at(flow->slot);
  if (!counters)
    return;
  count_volume(counters, bytes, now);
  if (kind == KIND_RTP) {
    track_rtp(counters, flow->clock_scale, rtp);
  } else if (kind == KIND_RTCP && (flow->flags & FLOW_RTCP_SECOND)) {
    __sync_fetch_and_add(&counters->rtcp_packets, 1);
    __sync_fetch_and_add(&counters->rtcp_bytes, bytes);
  }
}
