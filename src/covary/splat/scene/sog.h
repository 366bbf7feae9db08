// PlayCanvas's SOG in parts, for scenes with levels of detail, which are many of them. Within scene only.
//
//   Cloud cloud = read_sog_folder("2_0/meta.json");
//   for (const SogFile& f : pack_sog(cloud, {}, "2_0")) write(f.name, f.bytes);
//
//   write_sog_levels("out/lod-meta.json", tree, {});          // tree: with_levels() of lod.h
//   Cloud third = read_sog_levels("out/lod-meta.json", 2);
//
// Errors: as load_cloud and save_cloud.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "covary/splat/scene/format.h"

namespace covary::scene {

constexpr const char* kSogLevels = "lod-meta.json";

Cloud read_sog_folder(const std::filesystem::path& meta_file);

struct SogFile {
  std::string name;
  std::vector<uint8_t> bytes;
};

// The files of a folder, meta.json last.
std::vector<SogFile> pack_sog(const Cloud& cloud, const WriteOptions& options,
                              const std::string& where);

// All that a folder may have.
std::vector<std::string> sog_names();

Cloud read_sog_levels(const std::filesystem::path& path, int64_t level);

// How a scene is cut.
struct LevelFiles {
  int64_t splats = 512 * 1024;  // of a file: no leaf is begun in a file that has so many
  int64_t leaf = 16 * 1024;     // splats of a leaf of the tree, of all levels together
};

// Folders LEVEL_NUMBER beside `path` and, last, the tree that says which rows of them fill which box. Levels are those of the
// column `lod`, 0 the finest; a scene without it has one. The whole set replaces the one that the old file lists.
void write_sog_levels(const std::filesystem::path& path, const Cloud& cloud,
                      const WriteOptions& options, const LevelFiles& files = {});

// What is beside `path` of the set that it lists, or would be of any other.
std::vector<std::filesystem::path> sog_level_files(const std::filesystem::path& path);

}  // namespace covary::scene
