#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "modes.h"
#include "ng.h"
#include "srtp.h"

namespace {

constexpr const char* kUsage =
    "usage: loadgen relay|control|handshakes|hold --ng HOST:PORT [options]\n"
    "  --calls N        calls (relay, hold), default 100\n"
    "  --seconds S      duration, default 10; relay: two seconds more after SIGUSR1, if that is "
    "sooner\n"
    "  --warmup S       of it not counted (control)\n"
    "  --ptime MS       one packet per stream every MS ms (relay), default 20\n"
    "  --bind-a ADDR    address of the callers' phones, default 127.0.0.1\n"
    "  --bind-b ADDR    address of the called phones, default 127.0.0.1\n"
    "  --port-base P    first port of the phones, default 10000; 4 per call are used\n"
    "  --call-prefix X  call-ids are X-0, X-1, ...\n"
    "  --concurrency M  calls being set up at a time (control, handshakes), default 16\n"
    "  --triples N      calls in all (control), default as many as the time allows\n"
    "  --rate R         calls begun per second (control, handshakes), default as many as can be\n"
    "  --no-delete      leave the calls standing (relay, control)\n"
    "  --through A:B    the daemon's interfaces that face the callers and the called\n"
    "  --direct         without a relay: phones send to each other (relay)\n"
    "  --streams        add the figures of every stream (relay)\n"
    "  --ng-after H:P   ask for the calls and delete them there in the end (relay)\n"
    "  --trace FILE     times of every packet, see trace.h (relay)\n"
    "  --audio FILE     raw PCMA that the first stream carries (relay)\n"
    "  --record FILE    what arrived of it, silence in place of what did not (relay)\n"
    "  --srtp-a SUITE   the callers speak SRTP by SDES (relay)\n"
    "  --srtp-b SUITE   the called do (relay); both: it ends in the relay twice\n"
    "  --pass-srtp      unless it may pass through (relay)\n";

[[noreturn]] void refuse(const char* what, const char* value) {
  std::fprintf(stderr, "loadgen: %s %s\n%s", what, value, kUsage);
  std::exit(2);
}

template <typename T> void read_number(const char* name, const char* value, T& out) {
  const std::string_view text(value);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size())
    refuse(name, value);
}

loadgen::Options parse(int argc, char** argv) {
  loadgen::Options options;
  bool have_daemon = false;
  for (int i = 2; i < argc; ++i) {
    const std::string_view name(argv[i]);
    if (name == "--no-delete") {
      options.delete_calls = false;
      continue;
    }
    if (name == "--pass-srtp") {
      options.pass_srtp = true;
      continue;
    }
    if (name == "--direct") {
      options.direct = true;
      continue;
    }
    if (name == "--streams") {
      options.per_stream = true;
      continue;
    }
    if (i + 1 >= argc)
      refuse("value missing:", argv[i]);
    const char* value = argv[++i];
    if (name == "--ng") {
      const auto daemon = loadgen::parse_endpoint(value);
      if (!daemon)
        refuse("not HOST:PORT:", value);
      options.ng = *daemon;
      have_daemon = true;
    } else if (name == "--ng-after") {
      options.ng_after = loadgen::parse_endpoint(value);
      if (!options.ng_after)
        refuse("not HOST:PORT:", value);
    } else if (name == "--trace") {
      options.trace_file = value;
    } else if (name == "--audio") {
      options.audio_file = value;
    } else if (name == "--record") {
      options.record_file = value;
    } else if (name == "--calls") {
      read_number("--calls", value, options.calls);
    } else if (name == "--seconds") {
      read_number("--seconds", value, options.seconds);
    } else if (name == "--warmup") {
      read_number("--warmup", value, options.warmup);
    } else if (name == "--ptime") {
      read_number("--ptime", value, options.ptime_ms);
    } else if (name == "--bind-a") {
      options.bind_a = value;
    } else if (name == "--bind-b") {
      options.bind_b = value;
    } else if (name == "--port-base") {
      read_number("--port-base", value, options.port_base);
    } else if (name == "--through") {
      const std::string_view both(value);
      const auto colon = both.find(':');
      if (colon == std::string_view::npos)
        refuse("not A:B:", value);
      options.through = {std::string(both.substr(0, colon)), std::string(both.substr(colon + 1))};
    } else if (name == "--srtp-a" || name == "--srtp-b") {
      auto& suite = name == "--srtp-a" ? options.srtp_a : options.srtp_b;
      suite = loadgen::suite_named(value);
      if (!suite)
        refuse("no suite:", value);
    } else if (name == "--call-prefix") {
      options.call_prefix = value;
    } else if (name == "--rate") {
      read_number("--rate", value, options.rate);
    } else if (name == "--triples") {
      read_number("--triples", value, options.triples);
    } else if (name == "--concurrency") {
      read_number("--concurrency", value, options.concurrency);
    } else {
      refuse("unknown option", argv[i - 1]);
    }
  }
  if (!have_daemon && !options.direct)
    refuse("--ng is missing", "");
  return options;
}

} // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "relay")
    return loadgen::relay_mode(parse(argc, argv));
  if (mode == "control")
    return loadgen::control_mode(parse(argc, argv));
  if (mode == "handshakes")
    return loadgen::handshake_mode(parse(argc, argv));
  if (mode == "hold")
    return loadgen::hold_mode(parse(argc, argv));
  std::fputs(kUsage, stderr);
  return 2;
}
