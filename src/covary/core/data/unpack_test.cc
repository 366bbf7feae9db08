#include "covary/core/data/unpack.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/zip.h"

namespace covary::data {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class Unpacking : public testing::Test {
 protected:
  fs::path archive(const std::vector<std::pair<std::string, std::string>>& files) const {
    const fs::path path = temporary_.path() / "a.zip";
    ZipWriter w(path);
    for (const auto& [name, text] : files)
      w.add(name, {{reinterpret_cast<const uint8_t*>(text.data()), text.size()}});
    w.commit();
    return path;
  }
  // What unpacking says, empty when it succeeds.
  std::string refusal(const fs::path& path) const {
    try {
      unpack_zip(path, folder_);
    } catch (const Error& e) {
      EXPECT_FALSE(e.hint().empty());
      return e.message() + " | " + e.where();
    }
    return "";
  }
  size_t things_beside() const {
    size_t n = 0;
    for (const auto& entry : fs::directory_iterator(temporary_.path()))
      n += entry.path() != temporary_.path() / "a.zip";
    return n;
  }

  const TemporaryFolder temporary_{"unpack"};
  const fs::path folder_ = temporary_.path() / "to";
};

TEST_F(Unpacking, FoldersAndFilesAsTheyWere) {
  const fs::path path = archive({{"images/a.jpg", "one"},
                                 {"images/deep\\b.jpg", "two"},
                                 {"__MACOSX/images/._a.jpg", "x"},
                                 {"images/.DS_Store", "x"},
                                 {"empty/", ""},
                                 {"./note.txt", ""}});
  EXPECT_TRUE(is_zip(path));
  EXPECT_EQ(unpack_zip(path, folder_), 3);
  EXPECT_EQ(read_file(folder_ / "images/a.jpg"), "one");
  EXPECT_EQ(read_file(folder_ / "images/deep/b.jpg"), "two");
  EXPECT_EQ(read_file(folder_ / "note.txt"), "");
  EXPECT_FALSE(fs::exists(folder_ / "__MACOSX"));
  EXPECT_EQ(things_beside(), 1u);
}

TEST_F(Unpacking, NoEntryLeavesTheFolder) {
  for (const char* name : {"../evil", "a/../../evil", "/etc/evil", "C:\\evil", "..\\evil",
                           "a\\..\\..\\evil", "\\\\server\\evil"}) {
    EXPECT_THAT(refusal(archive({{"good.txt", "x"}, {name, "x"}})), HasSubstr(name));
    EXPECT_EQ(things_beside(), 0u) << name;
  }
}

TEST_F(Unpacking, ContradictionsAreRefused) {
  EXPECT_THAT(refusal(archive({{"a", "x"}, {"a/b", "y"}})), HasSubstr("a file and a folder"));
  EXPECT_THAT(refusal(archive({{"a/b", "x"}, {"./a//b", "y"}})), HasSubstr("two entries"));
  EXPECT_THAT(refusal(archive({{"__MACOSX/a", "x"}})), HasSubstr("no files"));
  EXPECT_EQ(things_beside(), 0u);
}

TEST_F(Unpacking, DamagedArchivesLeaveNothing) {
  const fs::path path =
      archive({{"a.txt", std::string(300, 'a')}, {"b.txt", std::string(300, 'b')}});
  const std::string whole = read_file(path);
  for (size_t size = 0; size < whole.size(); size += 7) {
    write_file(path, whole.substr(0, size));
    EXPECT_NE(refusal(path), "") << size;
    EXPECT_EQ(things_beside(), 0u) << size;
  }
  std::string changed = whole;
  changed[60] = static_cast<char>(changed[60] ^ 1);  // inside the first file's bytes
  write_file(path, changed);
  EXPECT_THAT(refusal(path), HasSubstr("a.txt"));
  EXPECT_EQ(things_beside(), 0u);
}

TEST_F(Unpacking, AFolderThatIsThereStays) {
  make_folder(folder_);
  write_file(folder_ / "mine.txt", "x");
  EXPECT_THAT(refusal(archive({{"mine.txt", "y"}})), HasSubstr("there already"));
  EXPECT_EQ(read_file(folder_ / "mine.txt"), "x");
}

}  // namespace
}  // namespace covary::data
