/* The maps of forward.bpf.c. The loader sets the sizes of the first three and pins all but the
 * next hops. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "flow.h"

/* Devices, and VLANs on top of them, that one instance forwards on. */
#define FLOW_MAX_DEVICES 64
#define FLOW_MAX_VLANS 256

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __type(key, struct flow_key);
  __type(value, struct flow);
} flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __type(key, struct fast_key);
  __type(value, struct fast_flow);
} fast_flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct flow_counters);
} counters SEC(".maps");

/* By reason, for packets of every flow and of none. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, FLOW_REASONS);
  __type(key, __u32);
  __type(value, __u64);
} totals SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, FLOW_MAX_DEVICES);
  __type(key, __u32);
  __type(value, struct flow_device);
} devices SEC(".maps");

/* Interface index of a VLAN device by parent and tag. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, FLOW_MAX_VLANS);
  __type(key, struct flow_vlan_key);
  __type(value, __u32);
} vlans SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, FLOW_MAX_VLANS);
  __type(key, __u32);
  __type(value, struct flow_vlan_egress);
} vlan_egress SEC(".maps");

/* Devices that XDP may send on: those with our program, so a frame is never handed to a driver
 * that is not prepared for it. */
struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
  __uint(max_entries, FLOW_MAX_DEVICES);
  __type(key, __u32);
  __type(value, __u32);
} transmit SEC(".maps");

/* Per CPU, so that an entry has one writer. By a hash of the destination, the newest stays. */
#define NEXT_HOPS 256

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, NEXT_HOPS);
  __type(key, __u32);
  __type(value, struct flow_next_hop);
} next_hops SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct flow_meta);
} meta SEC(".maps");

/* The loader counts it up when routes or neighbours have changed. */
volatile __u32 route_generation SEC(".data.routes") = 0;

/* In a section of its own: the loader writes it whole before loading. */
const volatile struct flow_lookup lookup SEC(".rodata.lookup") = {};
