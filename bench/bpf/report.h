// Medians of alternating runs.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace bench {

struct Series {
  std::string name;
  std::vector<double> values;

  [[nodiscard]] double median() const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    return sorted.empty() ? 0 : sorted[sorted.size() / 2];
  }
  [[nodiscard]] double least() const {
    return values.empty() ? 0 : *std::min_element(values.begin(), values.end());
  }
};

inline void print(const char* title, const std::vector<Series>& all) {
  std::printf("\n%-44s %10s %10s\n", title, "median", "least");
  for (const Series& series : all)
    std::printf("  %-42s %7.1f ns %7.1f ns\n", series.name.c_str(), series.median(),
                series.least());
}

} // namespace bench
