// Certificates by their content: a daemon has one or a few for thousands of calls, and reading one
// takes some hundred microseconds.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <utility>

#include "../dtls/identity.h"

namespace rtprelay {

constexpr std::size_t kCachedIdentities = 64;

// Thread: control only.
class IdentityCache {
public:
  explicit IdentityCache(dtls::SessionRules rules) : rules_(std::move(rules)) {}
  /// nullptr: not PEM, or they do not belong together.
  std::shared_ptr<const dtls::Identity> find(const std::string& certificate,
                                             const std::string& key) {
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->certificate != certificate || entry->key != key)
        continue;
      entries_.splice(entries_.begin(), entries_, entry);
      return entries_.front().identity;
    }
    auto identity = dtls::Identity::from_pem(certificate, key, rules_);
    if (identity == nullptr)
      return nullptr;
    entries_.push_front({certificate, key, identity});
    if (entries_.size() > kCachedIdentities)
      entries_.pop_back();
    return identity;
  }

private:
  struct Entry {
    std::string certificate;
    std::string key;
    std::shared_ptr<const dtls::Identity> identity;
  };
  const dtls::SessionRules rules_;
  /// Those used last come first.
  std::list<Entry> entries_;
};

} // namespace rtprelay
