// Argument: the compiled BPF object. Prints "N passed, N failed" last; exit status 2: skipped.
#include <cstdio>

#include "../native/check.h"
#include "rig.h"

int main(int count, char** arguments) {
  if (count != 2) {
    std::printf("usage: bpf-test OBJECT\n");
    return 1;
  }
  constexpr int kSkipped = 2;
  rig::object_path() = arguments[1];
  if (!rig::enter_namespaces())
    return kSkipped;
  if (!rig::make_devices())
    return 1;
  return check::run_all();
}
