#include "bare_programs.h"

#include <bpf/libbpf.h>

namespace bench {

BarePrograms::BarePrograms(const std::string& object_path, const bare_rewrite& rewrite) {
  object_ = bpf_object__open(object_path.c_str());
  if (object_ == nullptr)
    return;
  bpf_map* constants = bpf_object__find_map_by_name(object_, ".rodata.rewrite");
  if (constants == nullptr ||
      bpf_map__set_initial_value(constants, &rewrite, sizeof(rewrite)) != 0 ||
      bpf_object__load(object_) != 0) {
    bpf_object__close(object_);
    object_ = nullptr;
  }
}

BarePrograms::~BarePrograms() { bpf_object__close(object_); }

int BarePrograms::program(const char* name) const {
  const bpf_program* found =
      object_ == nullptr ? nullptr : bpf_object__find_program_by_name(object_, name);
  return found == nullptr ? -1 : bpf_program__fd(found);
}

} // namespace bench
