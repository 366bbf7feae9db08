// Names of files, as messages list them and as programs tell kinds by them.
//
//   lower_extension("a/IMG_1.JPG")                 // ".jpg"
//   list_some({"a", "b", "c", "d"}, 2)             // "a, b and 2 more"
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace covary {

std::string lower_extension(const std::filesystem::path& path);  // with its dot; ASCII alone
// The first `most` of them, and how many more there are.
std::string list_some(const std::vector<std::string>& names, size_t most = 5);

}  // namespace covary
