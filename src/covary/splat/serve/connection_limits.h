// How many connections a server holds: in all, and of one address, so that no machine takes the places of the others.
//
//   ConnectionLimits limits(256, 32);
//   if (!limits.admit("192.0.2.7", false)) close();
//   limits.release("192.0.2.7");
//
// This machine's own addresses (loopback) have no limit of their own: whoever is on it can end the program as well. Not
// for several threads at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace covary::serve {

class ConnectionLimits {
 public:
  ConnectionLimits(int64_t in_all, int64_t of_one) : in_all_(in_all), of_one_(of_one) {}

  // Whether one more is taken; then release() is due for it.
  bool admit(const std::string& address, bool loopback);
  void release(const std::string& address);

  int64_t open() const { return open_; }
  size_t addresses() const { return of_.size(); }  // that have one open

 private:
  int64_t in_all_, of_one_, open_ = 0;
  std::map<std::string, int64_t> of_;
};

// The name under which an address is counted. Of IPv6 the first half: a household has as many addresses in it as it likes.
std::string counted_address(const std::string& address);

}  // namespace covary::serve
