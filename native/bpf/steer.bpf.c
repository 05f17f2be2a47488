/* Steers the ports that calls own, and no others, to one socket for each thread of the packet path.
 *
 * It runs for UDP that finds no connected socket of its source. What it does not know is looked up
 * as ever, so sockets of other programs go on. So is what no socket waits for any more: whoever
 * binds the port then gets its packets.
 */
#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "steer.h"

/* In headers of the C library only, which the target has not. */
#define AF_INET 2

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, STEER_LEAST_PORTS);
  __type(key, struct flow_key);
  __type(value, __u32);
} ports SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, STEER_BLOCKS);
  __type(key, __u32);
  __type(value, __u32);
} blocks SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_SOCKMAP);
  __uint(max_entries, STEER_SOCKETS);
  __type(key, __u32);
  __type(value, __u64);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct steer_meta);
} steer_meta SEC(".maps");

SEC("sk_lookup")
int rtprelay_steer(struct bpf_sk_lookup* context) {
  if (context->protocol != IPPROTO_UDP)
    return SK_PASS;
  __u32 block = context->local_port >> STEER_BLOCK_BITS;
  __u32* used = bpf_map_lookup_elem(&blocks, &block);
  if (!used || !*used)
    return SK_PASS;
  struct flow_key key = {.port = bpf_htons((__u16)context->local_port)};
  if (context->family == AF_INET) {
    key.family = FLOW_IPV4;
    key.address.words[0] = context->local_ip4;
  } else {
    key.family = FLOW_IPV6;
    key.address.words[0] = context->local_ip6[0];
    key.address.words[1] = context->local_ip6[1];
    key.address.words[2] = context->local_ip6[2];
    key.address.words[3] = context->local_ip6[3];
  }
  __u32* slot = bpf_map_lookup_elem(&ports, &key);
  if (!slot)
    return SK_PASS;
  struct bpf_sock* socket = bpf_map_lookup_elem(&sockets, slot);
  if (!socket)
    return SK_PASS;
  /* Another instance's program may have chosen before; the table that knows the port is right. */
  bpf_sk_assign(context, socket, BPF_SK_LOOKUP_F_REPLACE);
  bpf_sk_release(socket);
  return SK_PASS;
}
