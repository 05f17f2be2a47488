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

  [[nodiscard]] double quantile(double part) const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(part * double(sorted.size()))];
  }
  [[nodiscard]] double median() const { return quantile(0.5); }
  /// What the machine's other guests disturb least.
  [[nodiscard]] double low() const { return quantile(0.1); }
};

inline void print(const char* title, const std::vector<Series>& all) {
  std::printf("\n%-44s %10s %10s\n", title, "median", "10 %");
  for (const Series& series : all)
    std::printf("  %-42s %7.1f ns %7.1f ns\n", series.name.c_str(), series.median(), series.low());
}

} // namespace bench
