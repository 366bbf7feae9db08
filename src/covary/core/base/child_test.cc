#include "covary/core/base/child.h"

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"

namespace covary {
namespace {

TEST(Child, TextInAndOut) {
  const ChildResult r = run_shell("read a b; echo \"$b-$a\"; exit 3", "left right\n");
  EXPECT_EQ(r.output, "right-left\n");
  EXPECT_EQ(r.status, 3);
  EXPECT_FALSE(r.timed_out);
}

TEST(Child, MuchTextBothWays) {
  const std::string text(3000000, 'x');
  EXPECT_EQ(run_shell("cat", text).output, text);
  EXPECT_EQ(run_shell("true", text).status, 0);  // not read
}

TEST(Child, EndsAtTheLimitWithItsChildren) {
  const auto begin = std::chrono::steady_clock::now();
  const ChildResult r = run_shell("sleep 60 & sleep 60", "", 0.2);
  EXPECT_TRUE(r.timed_out);
  EXPECT_EQ(r.status, 128 + 15);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST(Child, NoSuchProgramIsAStatus) {
  EXPECT_EQ(run_shell("/no/such/program 2>/dev/null", "").status, 127);
}

TEST(Child, LinesAsTheyCome) {
  std::vector<std::string> lines;
  const ChildResult r =
      run_program({"sh", "-c", "printf 'one\\ntw'; sleep 0.1; printf 'o\\n\\nlast'"},
                  {.log = {}, .on_line = [&](std::string_view l) { lines.emplace_back(l); }});
  EXPECT_EQ(r.status, 0);
  EXPECT_THAT(lines, testing::ElementsAre("one", "two", "", "last"));
  EXPECT_EQ(r.output, "");
}

TEST(Child, NoShellReadsTheWords) {
  EXPECT_EQ(run_program({"printf", "%s|", "a b", "$HOME;exit 1"}, {}).output, "a b|$HOME;exit 1|");
}

TEST(Child, WhatItSaysIsKeptBesideTheLog) {
  const TemporaryFolder folder("child");
  const auto log = folder.path() / "log.txt";
  run_program({"sh", "-c", "echo first >&2"}, {.log = log});
  EXPECT_EQ(run_program({"sh", "-c", "echo second >&2; echo out"}, {.log = log}).output, "out\n");
  EXPECT_EQ(read_file(log), "first\nsecond\n");
}

TEST(Child, AnExceptionOfTheReaderEndsIt) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(
      run_program(
          {"sh", "-c", "echo x; sleep 60"},
          {.log = {}, .on_line = [](std::string_view) { throw std::runtime_error("enough"); }}),
      std::runtime_error);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST(Child, AProgramThatIsNotThereIsAnError) {
  EXPECT_THROW(run_program({"/no/such/program"}, {}), Error);
  EXPECT_THROW(run_program({"no-such-program-anywhere"}, {}), Error);
}

}  // namespace
}  // namespace covary
