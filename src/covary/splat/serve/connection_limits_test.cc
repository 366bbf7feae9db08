#include "covary/splat/serve/connection_limits.h"

#include <gtest/gtest.h>

namespace covary::serve {
namespace {

TEST(ConnectionLimits, HoldInAllAndForOneAddress) {
  ConnectionLimits limits(5, 2);
  EXPECT_TRUE(limits.admit("192.0.2.7", false));
  EXPECT_TRUE(limits.admit("192.0.2.7", false));
  EXPECT_FALSE(limits.admit("192.0.2.7", false));
  EXPECT_TRUE(limits.admit("192.0.2.8", false));
  limits.release("192.0.2.7");
  EXPECT_TRUE(limits.admit("192.0.2.7", false));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(limits.admit("127.0.0.1", true));
  EXPECT_EQ(limits.open(), 5);
  EXPECT_FALSE(limits.admit("127.0.0.1", true));
  EXPECT_FALSE(limits.admit("192.0.2.9", false));
}

TEST(ConnectionLimits, ForgetAddressesThatHaveLeft) {
  ConnectionLimits limits(1000, 1);
  for (int i = 0; i < 100; ++i) {
    const std::string address = "192.0.2." + std::to_string(i);
    EXPECT_TRUE(limits.admit(address, false));
    EXPECT_FALSE(limits.admit(address, false));
    limits.release(address);
  }
  limits.release("192.0.2.1");  // once more than admitted: nothing
  EXPECT_EQ(limits.open(), 0);
  EXPECT_EQ(limits.addresses(), 0u);
}

TEST(ConnectionLimits, CountAHouseholdOfIpv6AsOne) {
  EXPECT_EQ(counted_address("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(counted_address("2001:db8:1:2:3:4:5:6"), counted_address("2001:db8:1:2::9"));
  EXPECT_NE(counted_address("2001:db8:1:2::9"), counted_address("2001:db8:1:3::9"));
  EXPECT_EQ(counted_address("fe80::1%eth0"), counted_address("fe80::2"));
  EXPECT_NE(counted_address("::ffff:192.0.2.7"), counted_address("::ffff:192.0.2.8"));
}

}  // namespace
}  // namespace covary::serve
