// Nearest centres of the same points again and again while the centres move: bounds on distances say
// which pairs of point and centre need no look. Within cluster only; labels are those of a search of all
// pairs, whatever the bounds.
//
//   CentreSearch<float> s(x, n, d, origin, k, CentreBounds::kYinyang);
//   int64_t changed = s.assign(centres, labels);      // all pairs, the first time
//   ... centres move ...; s.moved(moves);             // how far each, rounded up
//   changed = s.assign(centres, labels);              // only where a bound leaves a choice
//
// Bounds of a point: from above on the distance to its own centre, from below on the distances to the
// others: to all of them (Hamerly 2010, "Making k-means even faster"), to each group of at most
// kCentreGroup centres that lie together (Ding, Zhao, Shen, Musuvathi, Mytkowicz 2015, "Yinyang
// k-means"), or to each (Elkan 2003, "Using the triangle inequality to accelerate k-means"). What a
// centre moves loosens them; the distance between two centres is a bound too (Elkan's first lemma). A
// point that fails is first given its distance to its own centre, then meets those groups alone whose
// bounds leave a choice. Points wait in a queue a group until a tile is full, unless half of a tile
// wants the same group. All bounds carry the rounding error of the tile's arithmetic, and a point is
// passed over only where rounding could not make another centre win.
//
// Memory a point beside its label: two values, and one a group, or one a centre.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/linalg/cluster/kmeans_kernel.h"
#include "covary/core/linalg/cluster/kmeans_tiles.h"

namespace covary::linalg {

enum class CentreBounds { kNone, kHamerly, kElkan, kYinyang };

constexpr int64_t kCentreGroup = 4 * kCentreRun;

template <class T>
class CentreSearch {
 public:
  // x [n,d]; origin [d] is taken from every point. Both outlive the object. may_rest: where bounds
  // leave most pairs to be met, the next searches are plain ones, two at first, then twice as many.
  CentreSearch(const T* x, int64_t n, int64_t d, const T* origin, int64_t k, CentreBounds kind,
               bool may_rest = false);
  ~CentreSearch();

  // labels [n] become the nearest of centres [k,d], which are less the origin; how many changed.
  int64_t assign(const std::vector<T>& centres, std::vector<int32_t>& labels);
  // How far each centre went since the last call of assign.
  void moved(const std::vector<T>& moves);
  // The row was given to another centre by the caller: its bounds hold no longer.
  void forget(int64_t row);

 private:
  static constexpr int64_t kFirstRest = 2;
  // Where a point of the block stands while groups are met.
  struct Candidate {
    T norm, value;       // |x|^2, and |c|^2 / 2 - x c of the best so far
    T own_bound;         // to store in place of its group's once another centre is the best
    T next;              // likewise once the best is left out of its group
    int32_t own, label;  // -1: none yet
    bool own_group_met;
  };
  struct Scratch;  // of one thread

  void make_groups(const std::vector<T>& centres);
  void prepare();
  void measure_gaps(int64_t from, Scratch& s);
  Scratch& scratch(int worker);
  int64_t search_plain(int64_t begin, int64_t end, Scratch& s, std::vector<int32_t>& labels) const;
  int64_t search_all(int64_t begin, int64_t end, Scratch& s, std::vector<int32_t>& labels);
  int64_t search_open(int64_t begin, int64_t end, Scratch& s, std::vector<int32_t>& labels);
  bool settled(int64_t row, int32_t own);
  void open_tile(int64_t begin, int64_t count, Scratch& s, const std::vector<int32_t>& labels);
  void meet_queue(size_t group, int64_t begin, Scratch& s);
  void meet(size_t group, const ClusterTile<T>& tile, int64_t count, const int64_t* ids,
            const int32_t* wanted, int64_t wanting, int64_t begin, Scratch& s);
  // How many of the rows have another label than before.
  int64_t finish(const int64_t* rows, int64_t count, int64_t begin, Scratch& s,
                 std::vector<int32_t>& labels);

  T squared_limit(T upper, int32_t own) const;
  GroupBounds<T> view() const;

  const T* x_;
  int64_t n_, d_, k_;
  const T* origin_;
  CentreBounds kind_;
  bool may_rest_;
  T error_;            // of a squared distance, as a share of what it is made of
  int64_t width_ = 0;  // bounds a point: one a place, which is a group or a centre, and padding
  std::vector<std::vector<int32_t>> groups_;   // ascending: equal distances go to the lower index
  std::vector<int32_t> firsts_;                // [groups + 1] places
  std::vector<int32_t> group_of_, place_of_;   // [k]
  std::vector<PackedCentres<T>> packed_;       // [groups]
  std::vector<T> half_norms_, norms_, moves_;  // [k]
  std::vector<T> gaps_;                        // [k,width] distance to the nearest other of a place
  std::vector<T> nearest_gap_;                 // [k]
  std::vector<double> drift_;                  // [width] the largest moves of its centres, summed
  std::vector<T> drift_stored_, drift_read_;   // the same; the second rounded up
  std::vector<T> upper_, lower_;               // [n]
  std::vector<T> bounds_;  // [n,width] plus the drift when they were made, so that they need no
                           // touch while they hold
  T largest_move_ = 0, second_move_ = 0;
  int32_t farthest_ = -1;
  bool fresh_ = true;                          // no bounds yet
  int64_t rest_ = 0, next_rest_ = kFirstRest;  // plain searches to come
  const T* centres_ = nullptr;                 // of the call of assign
  std::vector<T> zero_;                        // [d]
  EachWorker<Scratch> workers_;
};

}  // namespace covary::linalg
