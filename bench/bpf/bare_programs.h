// The bare programs, loaded for one set of constants.
#pragma once

#include <string>

#include "bare.h"

struct bpf_object;

namespace bench {

class BarePrograms {
public:
  BarePrograms(const std::string& object_path, const bare_rewrite& rewrite);
  ~BarePrograms();
  BarePrograms(const BarePrograms&) = delete;
  BarePrograms& operator=(const BarePrograms&) = delete;

  /// A descriptor, negative when there is none.
  [[nodiscard]] int program(const char* name) const;

private:
  bpf_object* object_ = nullptr;
};

} // namespace bench
