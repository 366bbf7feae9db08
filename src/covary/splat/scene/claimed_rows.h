// How many Gaussians a scene file says that it holds, by its first bytes alone: whoever has a bound need not take in the rest of a
// file that is beyond it.
//
//   if (claimed_rows(first_64_kb, bytes_of_file, ".spz").value_or(0) > most) refuse();
//
// Known of .ply of every kind, .spz, .splat and .ksplat; nothing of formats that say it elsewhere (SOG, glTF, .npz, CSV) and of
// what is damaged. A claim is no promise: readers check it against the bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace covary::scene {

// head: from the file's first byte on. extension: in lower case, for formats without a mark of their own.
std::optional<int64_t> claimed_rows(std::string_view head, uint64_t bytes,
                                    const std::string& extension);

}  // namespace covary::scene
