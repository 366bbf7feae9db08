#include "covary/core/base/machine.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace covary {
namespace {

TEST(Machine, DescriptionHasEveryFieldOfStudyDocuments) {
  const nlohmann::json j = machine_description();
  for (const char* key : {"cpu", "cores", "threads", "memory_gb", "gpu", "simd", "os", "compiler",
                          "torch", "covary", "commit"})
    EXPECT_TRUE(j.contains(key)) << key;
  EXPECT_FALSE(j["cpu"].get<std::string>().empty());
  EXPECT_GE(j["cores"].get<int>(), 1);
  EXPECT_TRUE(j["torch"].is_null());
  EXPECT_EQ(j["covary"], version());
  EXPECT_EQ(j["commit"].is_null(), std::string(commit()).empty());
}

TEST(Machine, NamedFieldsAppear) {
  set_machine_field("simd", "AVX2");
  EXPECT_EQ(machine_description()["simd"], "AVX2");
}

TEST(Machine, MemoryAndTimeMove) {
  const double wall = wall_seconds(), cpu = cpu_seconds();
  std::vector<char> block(64 << 20, 1);
  for (size_t i = 0; i < block.size(); i += 4096) block[i] = static_cast<char>(i);
  EXPECT_GE(memory_bytes(), int64_t{64} << 20);
  EXPECT_GE(peak_memory_bytes(), int64_t{64} << 20);
  EXPECT_GT(total_memory_bytes(), memory_bytes());
  EXPECT_GE(wall_seconds(), wall);
  EXPECT_GE(cpu_seconds(), cpu);
  EXPECT_NE(block[4096 * 3], 2);
}

}  // namespace
}  // namespace covary
