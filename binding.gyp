{
  "variables": {
    # Kernel forwarding needs libbpf's headers; without them the daemon relays in userspace.
    "have_libbpf%": "<!(test -e /usr/include/bpf/libbpf.h && echo 1 || echo 0)",
    # The same for its nftables back end.
    "have_libnftables%": "<!(test -e /usr/include/nftables/libnftables.h && echo 1 || echo 0)"
  },
  "target_defaults": {
    "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS"],
    "cflags": ["-fvisibility=hidden", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"],
    "cflags!": ["-fno-omit-frame-pointer"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++14"],
    "cflags_cc": [
      "-std=c++20",
      "-fno-exceptions",
      "-isystem <(module_root_dir)/node_modules/node-addon-api",
      "-isystem <(node_root_dir)/include/node"
    ],
    "ldflags": ["-Wl,-Bsymbolic", "-Wl,--exclude-libs,ALL"]
  },
  "targets": [
    {
      "target_name": "rtprelay",
      "sources": [
        "native/addon.cc",
        "native/api/datagram_socket.cc",
        "native/api/dtls_identity.cc",
        "native/api/early_relay.cc",
        "native/api/exchange.cc",
        "native/api/network_watch.cc",
        "native/api/pair.cc",
        "native/api/process.cc",
        "native/api/relay_object.cc",
        "native/api/service_manager.cc",
        "native/api/srtp_receiver.cc",
        "native/core/address.cc",
        "native/core/attention.cc",
        "native/core/checks.cc",
        "native/core/demux.cc",
        "native/core/digits.cc",
        "native/core/epoll_io.cc",
        "native/core/foreign_sockets.cc",
        "native/core/heard_packets.cc",
        "native/core/heartbeat.cc",
        "native/core/held_packets.cc",
        "native/core/handshakes.cc",
        "native/core/icmp.cc",
        "native/core/intake.cc",
        "native/core/journal.cc",
        "native/core/latch.cc",
        "native/core/life.cc",
        "native/core/netlink.cc",
        "native/core/own_packets.cc",
        "native/core/own_rtcp.cc",
        "native/core/pace.cc",
        "native/core/packet.cc",
        "native/core/parked_packets.cc",
        "native/core/plan.cc",
        "native/core/plan_mark.cc",
        "native/core/plan_record.cc",
        "native/core/plan_sections.cc",
        "native/core/pressure.cc",
        "native/core/scheduling.cc",
        "native/core/port_record.cc",
        "native/core/port_steering.cc",
        "native/core/port_table.cc",
        "native/core/program_pages.cc",
        "native/core/raw_sender.cc",
        "native/core/reception.cc",
        "native/core/relay.cc",
        "native/core/relay_changes.cc",
        "native/core/relay_packets.cc",
        "native/core/relay_record.cc",
        "native/core/relay_resume.cc",
        "native/core/replay.cc",
        "native/core/replay_link.cc",
        "native/core/replay_side.cc",
        "native/core/rewrite.cc",
        "native/core/rtcp.cc",
        "native/core/sent_packets.cc",
        "native/core/socket.cc",
        "native/core/socket_store.cc",
        "native/core/steered_io.cc",
        "native/core/timer_heap.cc",
        "native/core/transport.cc",
        "native/core/udp_header.cc",
        "native/core/worker.cc",
        "native/dtls/fingerprint.cc",
        "native/dtls/identity.cc",
        "native/dtls/session.cc",
        "native/ice/agent.cc",
        "native/ice/agent_checks.cc",
        "native/ice/stun.cc",
        "native/srtp/hmac_sha1.cc",
        "native/srtp/key_derivation.cc",
        "native/srtp/receiver.cc",
        "native/srtp/sender.cc",
        "native/srtp/session.cc",
        "native/srtp/session_cipher.cc",
        "native/srtp/ssrc_table.cc",
        "native/srtp/suite.cc"
      ]
    },
    {
      # Needs nothing of Node: it starts it.
      "target_name": "rtprelay-pair",
      "type": "executable",
      "cflags_cc!": ["-fPIC"],
      "ldflags": ["-static"],
      "sources": [
        "native/pair/keeper.cc",
        "native/pair/launch.cc",
        "native/pair/main.cc",
        "native/pair/message.cc",
        "native/pair/store.cc"
      ]
    },
    {
      # The same.
      "target_name": "rtprelay-start",
      "type": "executable",
      "cflags_cc!": ["-fPIC"],
      "ldflags": ["-static"],
      "sources": [
        "native/core/address.cc",
        "native/core/port_record.cc",
        "native/core/relay_record.cc",
        "native/core/socket.cc",
        "native/start/main.cc"
      ]
    }
  ],
  "conditions": [
    ["have_libbpf==1", {
      "targets": [
        {
          "target_name": "rtprelay-kernel",
          "sources": [
            "native/kernel_api/kernel_addon.cc",
            "native/kernel_api/steering_object.cc",
            "native/kernel/devices.cc",
            "native/kernel/flow_table.cc",
            "native/kernel/kernel_forwarder.cc",
            "native/kernel/layout.cc",
            "native/kernel/netdevice.cc",
            "native/kernel/pin_directory.cc",
            "native/kernel/programs.cc",
            "native/kernel/steering.cc",
            "native/core/address.cc"
          ],
          "libraries": ["-lbpf"]
        }
      ]
    }],
    ["have_libnftables==1", {
      "targets": [
        {
          "target_name": "rtprelay-nft",
          "sources": ["native/nft_api/nft_addon.cc", "native/nft/element_counters.cc"],
          "libraries": ["-lnftables"]
        }
      ]
    }]
  ]
}
