#include "../../native/core/worker_events.h"

#include <memory>

#include "check.h"

using namespace rtprelay;

TEST("worker events: of all kinds in the order in which they happened") {
  const auto events = std::make_unique<WorkerEvents>();
  DigitEnd digit;
  digit.event = 5;
  LearnedSsrc learned;
  learned.what.ssrc = 7;
  SrtpProgress progress;
  progress.former = true;
  QualitySample sample;
  sample.stream_id = 9;
  CHECK(events->push(digit) && events->push(learned) && events->push(progress));
  CHECK(events->push(sample));
  CHECK(events->size() == 4);
  WorkerEvent event;
  CHECK(events->pop(event) && std::get<DigitEnd>(event).event == 5);
  CHECK(events->pop(event) && std::get<LearnedSsrc>(event).what.ssrc == 7);
  CHECK(events->pop(event) && std::get<SrtpProgress>(event).former);
  CHECK(events->pop(event) && std::get<QualitySample>(event).stream_id == 9);
  CHECK(!events->pop(event));
}

TEST("worker events: a flood of one kind leaves room for what matters more") {
  const auto events = std::make_unique<WorkerEvents>();
  const auto pushed = [&](const auto& each) {
    std::size_t count = 0;
    while (events->push(each))
      ++count;
    return count;
  };
  CHECK(pushed(QualitySample{}) == kWorkerEvents / 2);
  CHECK(pushed(DigitEnd{}) == kWorkerEvents / 4);
  CHECK(!events->push(LearnedSsrc{}));
  CHECK(pushed(SrtpProgress{}) == kWorkerEvents / 4);
  WorkerEvent event;
  CHECK(events->pop(event) && events->push(SrtpProgress{}));
}
