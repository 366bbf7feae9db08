#include "covary/splat/capture/pairs.h"

#include <algorithm>
#include <set>

namespace covary::capture {
namespace {

constexpr int64_t kMostExhaustive = 100;  // photos: 4,950 pairs, some minutes on two cores

std::pair<std::string, std::string> ordered(const std::string& a, const std::string& b) {
  return a < b ? std::pair(a, b) : std::pair(b, a);
}

}  // namespace

NamePairs exhaustive_pairs(const std::vector<std::string>& names) {
  NamePairs pairs;
  for (size_t i = 0; i < names.size(); ++i)
    for (size_t j = i + 1; j < names.size(); ++j) pairs.push_back(ordered(names[i], names[j]));
  return pairs;
}

NamePairs sequential_pairs(const std::vector<std::string>& names, int64_t overlap) {
  const auto n = static_cast<int64_t>(names.size());
  std::set<int64_t> gaps;
  for (int64_t k = 1; k <= overlap; ++k) gaps.insert(k);
  for (int64_t k = 16; k < n; k *= 2) gaps.insert(k);
  NamePairs pairs;
  for (int64_t i = 0; i < n; ++i)
    for (const int64_t gap : gaps)
      if (i + gap < n)
        pairs.push_back(
            ordered(names[static_cast<size_t>(i)], names[static_cast<size_t>(i + gap)]));
  return pairs;
}

NamePairs without(const NamePairs& a, const NamePairs& b) {
  const std::set<std::pair<std::string, std::string>> there(b.begin(), b.end());
  NamePairs out;
  std::copy_if(a.begin(), a.end(), std::back_inserter(out),
               [&](const auto& pair) { return !there.contains(pair); });
  return out;
}

std::string resolved_matching(const std::string& matching, int64_t photos, bool sequence) {
  if (matching != "auto") return matching;
  if (photos <= kMostExhaustive) return "exhaustive";
  return sequence ? "sequential" : "similar";
}

}  // namespace covary::capture
