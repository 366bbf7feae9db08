// A ZIP file into a folder.
//
//   unpack_zip("capture.zip", "out/source");      // the folder is whole or absent
//
// Every entry stays below the folder: a name that is absolute, climbs by "..", or names a drive is Error(kData), and
// nothing is written. Backslashes part folders too, as Windows programs write them. What Macs add (__MACOSX/, .DS_Store)
// is left out. Stored and deflated entries; an encrypted or otherwise packed one is Error(kData) naming it. No entry
// becomes a link. Sizes are summed and held against the disk's free space first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace covary::data {

// Whether the file begins as a ZIP does.
bool is_zip(const std::filesystem::path& path);

// The number of files. Error(kData) too when the folder is there already.
int64_t unpack_zip(const std::filesystem::path& archive, const std::filesystem::path& folder);

// The path below a folder that an entry's name means, in normal form; empty for what is left out.
// Error(kData, `where`) for a name that leaves the folder.
std::filesystem::path inner_path(const std::string& name, const std::string& where);

}  // namespace covary::data
