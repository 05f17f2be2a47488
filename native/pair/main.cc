// rtprelay-pair WATCHDOG_MS PROBATION_MS COMMAND WORD...: keeps a daemon alive, and its calls.
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "keeper.h"

int main(int count, char** words) {
  using namespace rtprelay::pair;
  if (count < 4) {
    say("rtprelay-pair WATCHDOG_MS PROBATION_MS COMMAND WORD... is started by rtprelayd");
    return 2;
  }
  KeeperOptions options;
  options.watchdog_ms = atoi(words[1]);
  options.probation_ms = atoi(words[2]);
  if (options.watchdog_ms < 100 || options.probation_ms < 0) {
    say("the watchdog takes 100 ms at least");
    return 2;
  }
  static Launcher launcher(words + 3);
  static Keeper keeper(options, launcher);
  if (!keeper.open()) {
    say("cannot start: %s", strerrordesc_np(errno));
    return 1;
  }
  return keeper.run();
}
