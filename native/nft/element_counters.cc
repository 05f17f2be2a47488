#include "element_counters.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

#include <endian.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "../netlink/reader.h"

namespace rtprelay::nft {

namespace {

/// Answers to one request wait in the socket's buffer, about 1 KiB of it each.
constexpr std::size_t kKeysPerRequest = 64;
/// From so many on a listing of the whole set takes less time.
constexpr std::size_t kKeysWorthADump = 256;

constexpr std::uint16_t kGetElements = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETSETELEM;
constexpr std::uint16_t kNewElements = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWSETELEM;

using netlink::Bytes;
using netlink::each_attribute;

/// A request that grows at its end.
class Request {
public:
  Request(std::uint16_t flags, std::uint32_t sequence) {
    nlmsghdr header{};
    header.nlmsg_type = kGetElements;
    header.nlmsg_flags = flags;
    header.nlmsg_seq = sequence;
    append(&header, sizeof(header));
    nfgenmsg family{};
    family.nfgen_family = NFPROTO_INET;
    append(&family, sizeof(family));
  }

  void put(std::uint16_t type, const void* data, std::size_t length) {
    const std::size_t at = begin(type);
    append(data, length);
    end(at);
  }

  void put(std::uint16_t type, const std::string& text) {
    put(type, text.c_str(), text.size() + 1);
  }

  std::size_t nest(std::uint16_t type) {
    return begin(static_cast<std::uint16_t>(type | NLA_F_NESTED));
  }

  void end(std::size_t at) {
    const auto length = static_cast<std::uint16_t>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at, &length, sizeof(length));
    bytes_.resize(NLA_ALIGN(bytes_.size()));
  }

  Bytes finish() {
    const auto length = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &length, sizeof(length));
    return bytes_;
  }

private:
  std::size_t begin(std::uint16_t type) {
    const std::size_t at = bytes_.size();
    const nlattr header{0, type};
    append(&header, sizeof(header));
    return at;
  }

  void append(const void* data, std::size_t length) {
    const auto* from = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), from, from + length);
  }

  std::vector<std::byte> bytes_;
};

std::uint64_t big_endian(Bytes content) {
  std::uint64_t value = 0;
  if (content.size() == sizeof(value))
    std::memcpy(&value, content.data(), sizeof(value));
  return be64toh(value);
}

void parse_counter(Bytes expression, ElementCounter& counter) {
  each_attribute(expression, [&](int type, Bytes data) {
    if (type != NFTA_EXPR_DATA)
      return;
    each_attribute(data, [&](int field, Bytes value) {
      if (field == NFTA_COUNTER_PACKETS)
        counter.packets = big_endian(value);
      if (field == NFTA_COUNTER_BYTES)
        counter.bytes = big_endian(value);
    });
  });
}

std::uint32_t parse_key(Bytes key) {
  std::uint32_t value = 0;
  each_attribute(key, [&](int type, Bytes data) {
    if (type == NFTA_DATA_VALUE && data.size() == sizeof(value))
      std::memcpy(&value, data.data(), sizeof(value));
  });
  return value;
}

void parse_element(Bytes element, const CounterSink& sink) {
  std::uint32_t key = 0;
  ElementCounter counter;
  each_attribute(element, [&](int type, Bytes content) {
    if (type == NFTA_SET_ELEM_KEY)
      key = parse_key(content);
    if (type == NFTA_SET_ELEM_EXPR)
      parse_counter(content, counter);
  });
  sink(key, counter);
}

void parse_elements(Bytes message, const CounterSink& sink) {
  each_attribute(message, [&](int type, Bytes list) {
    if (type != NFTA_SET_ELEM_LIST_ELEMENTS)
      return;
    each_attribute(list, [&](int, Bytes element) { parse_element(element, sink); });
  });
}

} // namespace

int ElementCounters::open() {
  if (socket_.valid())
    return 0;
  socket_ = kernel::UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  return socket_.valid() ? 0 : errno;
}

int ElementCounters::read(const std::string& table, const std::string& set,
                          std::span<const std::uint32_t> keys, const CounterSink& sink) {
  if (const int error = open(); error != 0)
    return error;
  if (keys.size() >= kKeysWorthADump)
    return dump(table, set, sink);
  while (!keys.empty()) {
    const std::size_t count = std::min(keys.size(), kKeysPerRequest);
    int error = get(table, set, keys.first(count), sink);
    // The kernel stops at the first that is missing.
    for (std::size_t i = 0; error == ENOENT && count > 1 && i < count; ++i) {
      const int alone = get(table, set, keys.subspan(i, 1), sink);
      if (alone != 0 && alone != ENOENT)
        error = alone;
    }
    if (error != 0 && error != ENOENT)
      return error;
    keys = keys.subspan(count);
  }
  return 0;
}

bool ElementCounters::exists(const std::string& table, const std::string& set) {
  return open() == 0 && dump(table, set, [](std::uint32_t, const ElementCounter&) {}) == 0;
}

int ElementCounters::dump(const std::string& table, const std::string& set,
                          const CounterSink& sink) {
  // What came is right all the same when the set changed meanwhile, but something may be missing.
  int error = EINTR;
  for (int attempt = 0; attempt < 3 && error == EINTR; ++attempt) {
    Request message(NLM_F_REQUEST | NLM_F_DUMP, ++sequence_);
    message.put(NFTA_SET_ELEM_LIST_TABLE, table);
    message.put(NFTA_SET_ELEM_LIST_SET, set);
    error = exchange(message.finish(), sink);
  }
  return error;
}

int ElementCounters::get(const std::string& table, const std::string& set,
                         std::span<const std::uint32_t> keys, const CounterSink& sink) {
  Request message(NLM_F_REQUEST | NLM_F_ACK, ++sequence_);
  message.put(NFTA_SET_ELEM_LIST_TABLE, table);
  message.put(NFTA_SET_ELEM_LIST_SET, set);
  const std::size_t list = message.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
  for (const std::uint32_t key : keys) {
    const std::size_t element = message.nest(NFTA_LIST_ELEM);
    const std::size_t value = message.nest(NFTA_SET_ELEM_KEY);
    message.put(NFTA_DATA_VALUE, &key, sizeof(key));
    message.end(value);
    message.end(element);
  }
  message.end(list);
  return exchange(message.finish(), sink);
}

int ElementCounters::exchange(std::span<const std::byte> request, const CounterSink& sink) {
  if (::send(socket_.get(), request.data(), request.size(), 0) < 0)
    return errno;
  const netlink::Answer answer =
      netlink::read_answer(socket_.get(), sequence_, [&](const netlink::Message& message) {
        if (message.type == kNewElements && message.content.size() >= sizeof(nfgenmsg))
          parse_elements(message.attributes<nfgenmsg>(), sink);
      });
  return answer.error == 0 && answer.interrupted ? EINTR : answer.error;
}

} // namespace rtprelay::nft
