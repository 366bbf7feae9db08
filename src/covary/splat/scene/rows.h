// Rows of a scene file some at a time, so that a conversion needs memory for a few of them: what a format gives that can
// read or write so. stream.h is the door.
//
//   const std::unique_ptr<RowSource> in = find_format("ply")->open("a.ply", {});
//   const std::unique_ptr<RowSink> out = find_format("csv")->create("a.csv", {in->like(), in->size(), 0}, {});
//   for (int64_t i = 0; i < in->size(); i += kRowsAtOnce)
//     out->append(in->rows(i, std::min(kRowsAtOnce, in->size() - i)));
//   out->commit();
//
// Rows are clouds in the axes of their file. Errors: as those of load_cloud and save_cloud.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "covary/splat/scene/cloud.h"

namespace covary::scene {

constexpr int64_t kRowsAtOnce = 1 << 15;

class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual int64_t size() const = 0;
  // A cloud without rows that has the degree, columns, flags and axes of all of them.
  virtual const Cloud& like() const = 0;
  virtual Cloud rows(int64_t first, int64_t count) const = 0;
  virtual Cloud rows(std::span<const int64_t> places) const = 0;  // in this order
};

// What a writer must know before the first row.
struct RowPlan {
  Cloud like;  // without rows, as it is written: its degree, columns, flags
  int64_t count =
      0;  // of rows; an upper bound where the format allows that (RowOrder::kAsTheyCome)
  float farthest = 0;  // largest absolute coordinate
};

class RowSink {
 public:
  virtual ~RowSink() = default;
  // Each time a multiple of 256 rows, but for the last.
  virtual void append(const Cloud& rows) = 0;
  virtual void commit() = 0;  // without it there is no file
  // What was lost beyond the format's precision, of the rows so far.
  virtual std::vector<std::string> lost() const { return {}; }
};

// In which order a format wants its rows.
enum class RowOrder {
  kAsTheyCome,  // and it need not know their number beforehand
  kMorton,      // neighbours in space together: geometry/morton.h
  kWeight,      // the largest and most opaque first
};

// The rows that an order puts first, first. Morton: of means [n,3]. Weight: of weights_of().
std::vector<int64_t> places_by_weight(const std::vector<double>& weights);
void append_weights(const Cloud& rows, std::vector<double>& weights);

}  // namespace covary::scene
