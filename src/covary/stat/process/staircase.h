// The part of a half-plane corner that no point dominates, as strips, while points are added: what
// the sweeps of hypervolume.cc and box_decomposition.cc keep of the first two objectives.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace covary::stat {

// Strip i is {begin < y_1 <= begin of the next, y_2 > floor}; begins ascend, floors descend.
class Staircase {
 public:
  struct Strip {
    double begin, floor;
  };

  Staircase(double reference_1, double reference_2) { reset(reference_1, reference_2); }
  void reset(double reference_1, double reference_2) {
    strips_.assign(1, {reference_1, reference_2});
  }

  // Adds the point (y1, y2) and calls piece(begin, end, floor) for each piece
  // {begin < y_1 <= end, floor < y_2 <= y2} that it alone dominates. Nothing for a dominated point.
  template <class F>
  void add(double y1, double y2, F piece) {
    const auto first = std::partition_point(strips_.begin(), strips_.end(),
                                            [&](const Strip& s) { return s.floor >= y2; });
    auto last = first;  // one past the strips that lose something
    while (last != strips_.end() && last->begin < y1) {
      const auto next = last + 1;
      const double end =
          next == strips_.end() ? std::numeric_limits<double>::infinity() : next->begin;
      piece(last->begin, std::min(end, y1), last->floor);
      ++last;
    }
    if (last == first) return;
    const Strip mine{first->begin, y2};
    const double end =
        last == strips_.end() ? std::numeric_limits<double>::infinity() : last->begin;
    if (end > y1) {  // what is left of the last one
      const Strip rest{y1, (last - 1)->floor};
      if (last - first == 1) {
        *first = rest;
        strips_.insert(first, mine);
        return;
      }
      *(last - 1) = rest;
      --last;
    }
    *first = mine;
    strips_.erase(first + 1, last);
  }

  const std::vector<Strip>& strips() const { return strips_; }

 private:
  std::vector<Strip> strips_;
};

}  // namespace covary::stat
