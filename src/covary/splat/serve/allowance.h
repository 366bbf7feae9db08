// A share of the time, for work that is done beside what matters more: after each piece one waits until its cost is no
// more than that share.
//
//   Allowance drawing(0.01);
//   if (drawing.wait([&] { return client.left(); })) { draw(); drawing.spend(seconds); }
//
// For several threads.
#pragma once

#include <functional>
#include <mutex>

namespace covary::serve {

class Allowance {
 public:
  explicit Allowance(double share);  // in (0, 1]; 1 = nobody waits

  void set_share(double share);
  bool free() const;           // nothing is owed now
  void spend(double seconds);  // of the piece that has just ended
  // Until nothing is owed. False: given up first (asked every 20 ms).
  bool wait(const std::function<bool()>& give_up) const;

 private:
  mutable std::mutex mutex_;
  double share_;
  double next_ = 0;  // wall clock from which nothing is owed, s
};

}  // namespace covary::serve
