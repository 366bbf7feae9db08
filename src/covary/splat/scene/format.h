// Scene files of every format, by one door.
//
//   Cloud cloud = load_cloud("biker.spz");           // told by content, then by extension
//   save_cloud("biker.sog", cloud);                  // by extension
//   save_cloud("b.spz", cloud, {.spz_version = 4});
//   for (const std::string& what : losses(*format_of_output("b.spz"), cloud)) warn(what);
//
// In memory a cloud has our axes, x right, y down, z forward, which those of a .ply are. Formats with
// other axes are turned when they are read and turned back when they are written: axes.h. Each
// format is one file format_NAME.cc that describes itself as a SceneFormat, and a line in
// format_table.cc.
//
// Readers take no number of a file on trust. Errors: Error(kData) naming file, field and offset.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "covary/splat/scene/cloud.h"
#include "covary/splat/scene/rows.h"

namespace covary::scene {

struct ReadOptions {
  std::string axes =
      "auto";         // of the file: auto (as its format has them) | as-is (no turn) | rub ...
  int64_t level = 0;  // of a scene with levels of detail: 0 is the finest
  std::string not_finite = "refuse";  // refuse | drop: splats with NaN, or with infinite places
};

struct WriteOptions {
  std::string axes = "auto";  // of the file: auto (as its format has them) | as-is | rub ...
  int64_t sh_degree = -1;     // highest that is written; -1 = all that there are
  bool keep_order = false;    // rows stay where they are in formats that would sort them
  int64_t spz_version = 3;    // 2, 3 (gzip) or 4 (Zstandard)
  int64_t spz_sh_bits = 0;    // 1..8 of each SH coefficient; 0 = 5 of degree 1, 4 above
  bool gltf_spz =
      false;  // glTF: splats as a .spz within (KHR_gaussian_splatting_compression_spz_2)
  int64_t ksplat_level = 1;  // 0 floats, 1 halves, 2 SH in bytes
  int64_t sog_sweeps = 6;    // of k-means, over the palette of spherical harmonics
  int64_t webp_effort = 5;   // 0..9, of SOG
  int64_t seed = 42;         // of what is drawn (k-means)
};

// What tells a kind: the first bytes of a file, or a folder.
struct Probe {
  std::filesystem::path path;
  std::string head;   // up to 64 kB
  uint64_t size = 0;  // bytes of the file
  bool is_folder = false;
  bool has_extension(const std::string& extension) const;  // ".spz"; case does not matter
};

struct SceneFormat {
  std::string name;                     // "spz"
  std::string help;                     // one line
  std::vector<std::string> extensions;  // ".spz"; the first is the usual one
  std::string axes = "rdf";             // of its coordinates, by convention
  int sh_degree = 4;                    // highest that it holds
  bool columns = false;                 // holds named columns
  bool antialiased = false;             // holds the flag
  bool flat = false;                    // holds the flag
  bool footprint = false;               // holds it; else a cloud is written as_gaussians
  bool source_axes = false;             // holds them
  bool not_finite = false;              // holds NaN and infinity
  bool spz_records = false;             // holds them
  std::string precision;                // what becomes of numbers; empty = nothing
  bool (*is)(const Probe&) = nullptr;
  Cloud (*read)(const std::filesystem::path&, const ReadOptions&) = nullptr;
  // Rows some at a time, in any order; null: the file is read whole. May give null for a file that has no such rows.
  std::unique_ptr<RowSource> (*open)(const std::filesystem::path&, const ReadOptions&) = nullptr;
  // Written row by row, in this order (but for keep_order); null: `write` needs the scene whole.
  RowOrder order = RowOrder::kAsTheyCome;
  std::unique_ptr<RowSink> (*create)(const std::filesystem::path&, const RowPlan&,
                                     const WriteOptions&) = nullptr;
  // Both null: it is read only.
  void (*write)(const std::filesystem::path&, const Cloud&, const WriteOptions&) = nullptr;
  // Files that are written beside the one that is named; may be null.
  std::vector<std::filesystem::path> (*beside)(const std::filesystem::path&) = nullptr;
  bool is_written() const { return create || write; }
  // What this cloud loses beyond `precision`; may be null.
  std::vector<std::string> (*also_lost)(const Cloud&, const WriteOptions&) = nullptr;
};

// In the order in which kinds are asked whether a file is theirs.
const std::vector<SceneFormat>& scene_formats();
const SceneFormat* find_format(const std::string& name);

// The kind of a file or folder that is there; null when it is none of these, or absent.
const SceneFormat* format_of(const std::filesystem::path& path);
bool is_scene_file(const std::filesystem::path& path);
// By extension, or of a name ("spz"); Error(kUsage) listing what can be written.
const SceneFormat& format_of_output(const std::filesystem::path& path,
                                    const std::string& name = "");
bool can_write(const std::filesystem::path& path);  // by extension
// What of an output is there already: itself, or files that are written beside it. Empty when it can be written anew.
std::vector<std::filesystem::path> in_the_way(const std::filesystem::path& path,
                                              const std::string& format = "");
// ".ply .spz ..." of formats that can be written, for messages.
std::string writable_extensions();
// Bytes of a file, or of all files in a folder.
int64_t bytes_on_disk(const std::filesystem::path& path);

// Error(kData): no such file, no such kind, damaged, or not finite (naming the first such splat).
Cloud load_cloud(const std::filesystem::path& path, const ReadOptions& options = {});

// Whole or absent. Columns, flags and degrees that the format has no place for are left out: losses()
// says which. Error(kData) for a cloud that is not finite in a format that cannot hold it.
void save_cloud(const std::filesystem::path& path, const Cloud& cloud,
                const WriteOptions& options = {}, const std::string& format = "");

// A line for each thing that is lost when the cloud is written so; empty when it comes back to the bit.
std::vector<std::string> losses(const SceneFormat& format, const Cloud& cloud,
                                const WriteOptions& options = {});
// The same with what the format said itself (RowSink::lost) of rows that are no longer there.
std::vector<std::string> losses(const SceneFormat& format, const Cloud& like,
                                const WriteOptions& options, const std::vector<std::string>& also);

// What load_cloud and save_cloud do beside the file, for rows of a scene that count from `first` in it: the refusal or loss of
// what is not finite, degrees, axes. stream.h does the same to a scene row by row.
Cloud accepted(Cloud rows, const SceneFormat& format, const std::filesystem::path& path,
               const ReadOptions& options, int64_t first = 0);
Cloud prepared(const Cloud& rows, const SceneFormat& format, const std::filesystem::path& path,
               const WriteOptions& options, int64_t first = 0);

// Only bands up to this degree; the cloud itself where it has no more.
Cloud with_degree(const Cloud& cloud, int64_t degree);
// One after the other. The degree is the highest; a column that some lack is 0 there, of the first
// type that it has. lod_parent (lod.h) goes on to name rows, and is -1 where it is lacking. Flags must agree:
// Error(kData) naming which do not.
Cloud merged(const std::vector<Cloud>& clouds);
// [N] bool: no NaN anywhere, and means, quaternions and SH are finite (an opacity of 1 is an infinite
// logit, and a disc has an infinite log).
at::Tensor finite_rows(const Cloud& cloud);

}  // namespace covary::scene
