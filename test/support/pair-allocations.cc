// Linked to the parent of a pair: ends it, and says so, when memory is allocated after its start,
// which is over with the first child.
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <sys/types.h>
#include <unistd.h>

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
pid_t __fork();

namespace {

bool has_started = false;

void notice() {
  constexpr const char* kText = "memory was allocated\n";
  if (!has_started)
    return;
  (void)!write(STDERR_FILENO, kText, std::strlen(kText));
  _exit(99);
}

} // namespace

void* malloc(std::size_t size) {
  notice();
  return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) {
  notice();
  return __libc_calloc(count, size);
}

void* realloc(void* memory, std::size_t size) {
  notice();
  return __libc_realloc(memory, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  notice();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  notice();
  *memory = __libc_memalign(alignment, size);
  return *memory == nullptr ? 12 : 0;
}

pid_t fork() {
  has_started = true;
  // So that the test can fail.
  if (getenv("ALLOCATES") != nullptr)
    free(malloc(1));
  return __fork();
}

} // extern "C"
