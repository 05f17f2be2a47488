{
  "targets": [
    {
      "target_name": "rtprelay",
      "sources": [
        "native/addon.cc",
        "native/api/datagram_socket.cc",
        "native/api/relay_object.cc",
        "native/api/service_manager.cc",
        "native/core/address.cc",
        "native/core/epoll_io.cc",
        "native/core/latch.cc",
        "native/core/packet.cc",
        "native/core/plan.cc",
        "native/core/relay.cc",
        "native/core/rtcp.cc",
        "native/core/socket.cc",
        "native/core/socket_store.cc",
        "native/core/stream.cc",
        "native/core/worker.cc"
      ],
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
    }
  ]
}
