// Which photos are compared with which.
//
// Compared are names in their order: neighbours by name are neighbours in a sequence. Each pair comes once, the earlier
// name first, in a fixed order.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace covary::capture {

using NamePairs = std::vector<std::pair<std::string, std::string>>;

// Each with each: n (n - 1) / 2.
NamePairs exhaustive_pairs(const std::vector<std::string>& names);

// Each with the next `overlap`, and with those 16, 32, 64, ... further: long loops need the far ones, and the near ones alone
// leave gaps that fold a model.
NamePairs sequential_pairs(const std::vector<std::string>& names, int64_t overlap = 10);

// The pairs of a that are not in b, in a's order.
NamePairs without(const NamePairs& a, const NamePairs& b);

// What "auto" means for so many photos.
std::string resolved_matching(const std::string& matching, int64_t photos, bool sequence);

}  // namespace covary::capture
