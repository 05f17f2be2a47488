/*
 * What a packet costs that is sent from each of many sockets in turn, in the kernel alone: as bench:subscriptions, without
 * a relay. Always 20,000 datagrams a second: in one burst for each of 20000/COUNT moments. Alternates between the counts.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kRate = 20000, kMost = 512, kPayload = 172 };

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int bound_socket(struct sockaddr_in* address) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  socklen_t size = sizeof *address;
  memset(address, 0, sizeof *address);
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr*)address, size) != 0 ||
      getsockname(fd, (struct sockaddr*)address, &size) != 0) {
    perror("socket");
    exit(1);
  }
  return fd;
}

/* Microseconds of CPU for one datagram. `burst`: sent without a rest until as many as in `duration` seconds. */
static double measure(const int* sockets, int count, const struct sockaddr_in* to, double duration,
                      int rests) {
  static uint8_t payload[kPayload];
  const double period = (double)count / kRate;
  const long rounds = (long)(duration / period);
  const double began = seconds(CLOCK_MONOTONIC);
  const double before = seconds(CLOCK_THREAD_CPUTIME_ID);
  double resting = 0;
  for (long round = 0; round < rounds; round++) {
    for (int at = 0; at < count; at++)
      (void)!sendto(sockets[at], payload, sizeof payload, 0, (const struct sockaddr*)to,
                    sizeof *to);
    if (!rests)
      continue;
    const double asleep = seconds(CLOCK_THREAD_CPUTIME_ID);
    const double next = began + (double)(round + 1) * period;
    const double left = next - seconds(CLOCK_MONOTONIC);
    if (left > 0) {
      const struct timespec pause = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
      nanosleep(&pause, NULL);
    }
    resting += seconds(CLOCK_THREAD_CPUTIME_ID) - asleep;
  }
  const double used = seconds(CLOCK_THREAD_CPUTIME_ID) - before - resting;
  return used * 1e6 / ((double)rounds * count);
}

int main(int argc, char** argv) {
  const double duration = argc > 1 ? atof(argv[1]) : 2;
  const int runs = argc > 2 ? atoi(argv[2]) : 5;
  const struct rlimit limit = {4096, 4096};
  setrlimit(RLIMIT_NOFILE, &limit);
  struct sockaddr_in sink_address;
  const int sink = bound_socket(&sink_address);
  struct sockaddr_in ignored;
  int sockets[kMost];
  int same[kMost];
  for (int at = 0; at < kMost; at++) {
    sockets[at] = bound_socket(&ignored);
    same[at] = sockets[0];
  }
  /* Nobody reads: the sink is full soon, as the bench's. */
  measure(sockets, kMost, &sink_address, 1, 0);
  printf("us of CPU per datagram     10 sockets  500 sockets  ratio   500 by one socket\n");
  for (int rests = 1; rests >= 0; rests--) {
    for (int run = 0; run < runs; run++) {
      const double few = measure(sockets, 10, &sink_address, duration, rests);
      const double many = measure(sockets, 500, &sink_address, duration, rests);
      const double one = measure(same, 500, &sink_address, duration, rests);
      printf("%-26s %10.3f  %11.3f  %5.2f  %18.3f\n",
             rests ? "20,000 a second, resting" : "without a rest", few, many, many / few, one);
    }
  }
  close(sink);
  return 0;
}
