#include "covary/core/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <functional>

#include "covary/core/base/error.h"
#include "covary/core/base/temporary_folder.h"

namespace covary {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FileTest : public ::testing::Test {
 protected:
  int64_t entries() const {
    return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
  }
  static Error error_of(const std::function<void()>& f) {
    try {
      f();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kData);
      return e;
    }
    ADD_FAILURE() << "no error";
    return Error(ExitCode::kFailed, "none");
  }
  const TemporaryFolder temporary{"file"};
  const fs::path folder = temporary.path();
};

TEST_F(FileTest, AFileAppearsOnlyWhenCommitted) {
  const fs::path path = folder / "a.txt";
  {
    AtomicFile out(path);
    out.write("half");
    EXPECT_FALSE(fs::exists(path));
    EXPECT_TRUE(fs::exists(out.temporary()));
  }
  EXPECT_EQ(entries(), 0);
  write_file(path, "whole");
  EXPECT_EQ(read_file(path), "whole");
  EXPECT_EQ(entries(), 1);
}

TEST_F(FileTest, AnAbandonedWriteKeepsTheOldFile) {
  const fs::path path = folder / "a.txt";
  write_file(path, "old");
  {
    AtomicFile out(path);
    out.write("new");
  }
  EXPECT_EQ(read_file(path), "old");
  write_file(path, "new");
  EXPECT_EQ(read_file(path), "new");
}

TEST_F(FileTest, ALinkIsKeptAndItsTargetReplaced) {
  write_file(folder / "real", "old");
  fs::create_symlink("real", folder / "link");
  write_file(folder / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read_file(folder / "real"), "new");
}

TEST_F(FileTest, ADeviceIsWrittenInPlace) {
  write_file("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(FileTest, AFullDiskIsADataErrorThatNamesTheFile) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const Error e = error_of([] { write_file("/dev/full", std::string(1 << 20, 'x')); });
  EXPECT_EQ(e.where(), "/dev/full");
  EXPECT_THAT(e.hint(), HasSubstr("space"));
}

TEST_F(FileTest, AFailedWriteLeavesNothingBehind) {
  // A limit on the size of files stands in for a disk that fills up half-way.
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = old;
  small.rlim_cur = 4096;
  setrlimit(RLIMIT_FSIZE, &small);
  const Error e = error_of([&] { write_file(folder / "big", std::string(1 << 20, 'x')); });
  const Error flushed = error_of([&] {
    AtomicFile out(folder / "late");
    out.write(std::string(4000, 'x'));
    out.write(std::string(200, 'x'));
    out.commit();
  });
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(e.where(), (folder / "big").string());
  EXPECT_FALSE(flushed.hint().empty());
  EXPECT_EQ(entries(), 0);
}

TEST_F(FileTest, TheFrontIsReplacedByLess) {
  std::string body(3 << 20, 'x');
  body += "the end";
  for (const std::string front : {"long one", "short", ""}) {
    AtomicFile out(folder / "a");
    out.write("long one");
    out.write(body);
    out.replace_front(8, front);
    out.write("!");
    out.commit();
    EXPECT_TRUE(read_file(folder / "a") == front + body + "!") << front;
  }
}

TEST_F(FileTest, ASetOfFilesIsReplacedWholeOrNotAtAll) {
  write_file(folder / "part", "old part");
  write_file(folder / "list", "old list");
  {
    AtomicFiles set;
    set.add(folder / "part").write("new part");
    set.add(folder / "list").write("new list");
  }
  EXPECT_EQ(read_file(folder / "part"), "old part") << "not committed";
  AtomicFiles set;
  set.add(folder / "part").write("new part");
  set.add(folder / "list").write("new list");
  set.commit();
  EXPECT_EQ(read_file(folder / "part"), "new part");
  EXPECT_EQ(read_file(folder / "list"), "new list");
  EXPECT_EQ(entries(), 2) << "and nothing temporary";
}

TEST_F(FileTest, AMissingFolderAndAFolderAsTargetAreNamed) {
  EXPECT_THAT(error_of([&] { write_file(folder / "no" / "a", "x"); }).hint(),
              HasSubstr((folder / "no").string()));
  EXPECT_THAT(error_of([&] { write_file(folder, "x"); }).hint(), HasSubstr("folder"));
  EXPECT_THAT(error_of([&] { read_file(folder / "none"); }).what(), HasSubstr("none"));
  EXPECT_THAT(error_of([&] { read_file(folder); }).hint(), HasSubstr("folder"));
}

TEST_F(FileTest, AFolderThatMayNotBeWrittenIsNamed) {
  if (geteuid() == 0) GTEST_SKIP() << "the superuser may write everywhere";
  fs::permissions(folder, fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_THAT(error_of([&] { write_file(folder / "a", "x"); }).hint(), HasSubstr("may not write"));
  EXPECT_THAT(error_of([&] { make_folder(folder); }).what(), HasSubstr("folder"));
  fs::permissions(folder, fs::perms::owner_all);
}

TEST_F(FileTest, MakesFoldersWithTheirParents) {
  make_folder(folder / "a" / "b");
  EXPECT_TRUE(fs::is_directory(folder / "a" / "b"));
  write_file(folder / "file", "x");
  EXPECT_THAT(error_of([&] { make_folder(folder / "file"); }).where(), HasSubstr("file"));
  EXPECT_THAT(error_of([&] { make_folder(folder / "file" / "c"); }).where(), HasSubstr("file"));
}

TEST_F(FileTest, Sha256OfKnownTexts) {
  const auto of = [](std::string_view s) {
    return sha256({reinterpret_cast<const uint8_t*>(s.data()), s.size()});
  };
  EXPECT_EQ(of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const std::string million(1000000, 'a');
  EXPECT_EQ(of(million), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  write_file(folder / "m", million);
  EXPECT_EQ(sha256_file(folder / "m"), of(million));
}

}  // namespace
}  // namespace covary
