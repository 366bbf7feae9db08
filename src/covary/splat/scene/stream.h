// A scene from file to file, a few rows in memory at a time: what `covary convert` and edits that act row by row do to files
// larger than memory.
//
//   if (can_stream("a.ply", "b.spz"))
//     stream_scene("a.ply", {}, "b.spz", {}, "", [&](const Cloud& rows, int64_t) { return select(rows, inside(rows)); });
//
// The file has the same bytes as save_cloud(out, edit(load_cloud(in))). In: binary .ply. Out: .ply and .csv row by row;
// .splat, .spz and .compressed.ply, which want their rows in an order of their own, by two or three passes over the input,
// and rows that an edit changed wait in a temporary file beside the output. Memory: some 60 MB whatever the file, and for an
// order 24 bytes a splat; Zstandard (.spz of version 4) takes its window, to 50 MB.
//
// Other formats need the scene whole: SOG has codebooks and a palette of all splats, .ksplat blocks, glTF and .npz
// are arrays within one more file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "covary/splat/scene/format.h"
#include "covary/splat/scene/rows.h"

namespace covary::scene {

// Rows in our axes, the first of which is row `first` of the input, to as many or fewer. Each call must add, drop and
// rename the same columns, and leave the same degree. An edit is also asked for a cloud without rows.
using RowEdit = std::function<Cloud(const Cloud& rows, int64_t first)>;

// Whether both files are such as are read and written by rows. format: of the output, where its name does not say it.
bool can_stream(const std::filesystem::path& in, const std::filesystem::path& out,
                const std::string& format = "");

struct Streamed {
  Cloud read,
      written;  // without rows: degree, columns, flags, axes of the input and of what was written
  int64_t rows_read = 0, rows_written = 0;
  std::vector<std::string> lost;  // as losses()
};

// Errors as load_cloud and save_cloud. The output is whole or absent.
Streamed stream_scene(const std::filesystem::path& in, const ReadOptions& reading,
                      const std::filesystem::path& out, const WriteOptions& writing,
                      const std::string& format = "", const RowEdit& edit = {});

// What load_cloud would tell of a file beside its numbers, without reading them; null when its rows cannot be read alone.
std::unique_ptr<RowSource> open_rows(const std::filesystem::path& path,
                                     const ReadOptions& reading = {});

}  // namespace covary::scene
