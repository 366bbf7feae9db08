#include "covary/core/data/unpack.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/data/zip.h"

namespace covary::data {

namespace fs = std::filesystem;

bool is_zip(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  char head[4] = {};
  in.read(head, 4);
  const std::string_view magic(head, 4);
  return in.gcount() == 4 && (magic == std::string_view("PK\3\4", 4) ||
                              magic == std::string_view("PK\5\6", 4));  // the latter: empty
}

fs::path inner_path(const std::string& name, const std::string& where) {
  const auto refuse = [&](const char* what) {
    throw Error(ExitCode::kData, what, where,
                "such an archive may be meant to overwrite files of yours: do not trust it");
  };
  if (name.find('\0') != std::string::npos) refuse("the entry's name holds a zero byte");
  std::string text = name;
  std::replace(text.begin(), text.end(), '\\', '/');
  if (text.starts_with('/') || (text.size() > 1 && text[1] == ':'))
    refuse("the entry's name is no path below the folder");
  fs::path out;
  for (const fs::path& part : fs::path(text)) {
    if (part == "..") refuse("the entry's name leaves the folder");
    if (part == "__MACOSX") return {};
    if (!part.empty() && part != ".") out /= part;
  }
  return out.filename() == ".DS_Store" ? fs::path() : out;
}

int64_t unpack_zip(const fs::path& archive, const fs::path& folder) {
  if (fs::exists(folder))
    throw Error(ExitCode::kData, "is there already", folder.string(), "choose another place");
  const ZipReader zip(archive);
  std::set<fs::path> seen, folders;
  std::vector<std::pair<fs::path, const ZipEntry*>> files;
  double bytes = 0;
  for (const ZipEntry& e : zip.entries()) {
    const fs::path path = inner_path(e.name, zip.where(e.name));
    if (path.empty() || e.name.ends_with('/') || e.name.ends_with('\\')) continue;
    if (!seen.insert(path).second)
      throw Error(ExitCode::kData, "two entries of one name", zip.where(e.name),
                  "write the archive again");
    for (fs::path up = path.parent_path(); !up.empty(); up = up.parent_path()) folders.insert(up);
    files.emplace_back(path, &e);
    bytes += static_cast<double>(e.size);
  }
  for (const auto& [path, entry] : files)
    if (folders.contains(path))
      throw Error(ExitCode::kData, "is a file and a folder", zip.where(entry->name),
                  "write the archive again");
  if (files.empty())
    throw Error(ExitCode::kData, "the archive holds no files", archive.string(),
                "check how it was made");

  const fs::path part = folder.string() + ".part-" + std::to_string(getpid());
  make_folder(part);
  std::error_code ignored;
  try {
    const fs::space_info space = fs::space(part, ignored);
    if (!ignored && bytes > static_cast<double>(space.available))
      throw Error(ExitCode::kData,
                  "the archive needs " + std::to_string(static_cast<int64_t>(bytes / 1e6)) +
                      " MB, and the disk has " +
                      std::to_string(static_cast<int64_t>(space.available / 1000000)),
                  archive.string(), "free some space, or choose another disk");
    for (const fs::path& f : folders) make_folder(part / f);
    for (const auto& [path, entry] : files) {
      if (const int code = interrupted()) throw Interrupted{code};
      const std::vector<uint8_t> content = zip.read(*entry);
      write_file(part / path,
                 std::string_view(reinterpret_cast<const char*>(content.data()), content.size()));
    }
    fs::rename(part, folder);
  } catch (...) {
    fs::remove_all(part, ignored);
    throw;
  }
  return static_cast<int64_t>(files.size());
}

}  // namespace covary::data
