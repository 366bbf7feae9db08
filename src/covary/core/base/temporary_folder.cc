#include "covary/core/base/temporary_folder.h"

#include <cstdlib>

#include "covary/core/base/error.h"

namespace covary {

TemporaryFolder::TemporaryFolder(const std::string& name) {
  std::error_code none;
  std::string pattern =
      (std::filesystem::temp_directory_path(none) / ("covary-" + name + "-XXXXXX")).string();
  if (none || mkdtemp(pattern.data()) == nullptr)
    throw Error(ExitCode::kData, "cannot make a temporary folder", pattern,
                "set TMPDIR to a folder that can be written");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace covary
