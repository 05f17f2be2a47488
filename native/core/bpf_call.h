// The system call bpf(2), which the C library has not.
#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace rtprelay {

/// A descriptor or 0; -1: errno says why.
inline long bpf(bpf_cmd command, bpf_attr& attributes) {
  return syscall(SYS_bpf, command, &attributes, sizeof(attributes));
}

} // namespace rtprelay
