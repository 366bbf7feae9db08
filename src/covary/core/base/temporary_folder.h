// A folder of its own below the system's temporary one ($TMPDIR), removed with everything in it at the end of the scope.
//
//   const TemporaryFolder folder("ply");
//   write_file(folder.path() / "a.ply", bytes);
//
// Error(kData) when no such folder can be made.
#pragma once

#include <filesystem>
#include <string>

namespace covary {

class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name);  // seen in the folder's name
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace covary
