#include "covary/splat/serve/connection_limits.h"

#include <arpa/inet.h>

#include <array>

namespace covary::serve {

bool ConnectionLimits::admit(const std::string& address, bool loopback) {
  if (open_ >= in_all_) return false;
  int64_t& here = of_[address];
  if (!loopback && here >= of_one_) return false;
  ++here;
  ++open_;
  return true;
}

void ConnectionLimits::release(const std::string& address) {
  const auto found = of_.find(address);
  if (found == of_.end()) return;
  --open_;
  if (--found->second == 0) of_.erase(found);
}

std::string counted_address(const std::string& address) {
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET6, address.substr(0, address.find('%')).c_str(), bytes.data()) != 1)
    return address;
  bool mapped = bytes[10] == 0xff && bytes[11] == 0xff;  // ::ffff:192.0.2.7
  for (size_t i = 0; i < 10; ++i) mapped = mapped && bytes[i] == 0;
  if (mapped) return address;
  for (size_t i = 8; i < bytes.size(); ++i) bytes[i] = 0;
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
  return text.data();
}

}  // namespace covary::serve
