// Files that are whole or absent: written under a temporary name beside the target and renamed when complete.
//
//   AtomicFile out("scene.ply");           // throws kData when the folder cannot be written
//   out.write(bytes, size);                // throws kData on a full disk; the temporary file is removed
//   out.commit();                          // flush, fsync, rename; without it the destructor removes the file
//
//   AtomicFiles set;                       // files that belong together
//   set.add("scene.bin").write(bytes, size);
//   set.add("scene.gltf").write(text);     // the last one names the others
//   set.commit();
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace covary {

class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();  // finish() and the new name
  // All bytes to the disk, still under the temporary name.
  void finish();
  // Other bytes in place of the first `count`, at most as many; what follows moves up. For a regular file alone.
  void replace_front(size_t count, std::string_view bytes);
  // For libraries that write by name, and to a FILE*.
  const std::filesystem::path& temporary() const { return temporary_; }
  const std::filesystem::path& target() const { return target_; }  // behind links
  std::FILE* stream() { return file_; }

 private:
  void drop(const std::string& doing, int error);

  std::filesystem::path target_, temporary_;
  std::FILE* file_ = nullptr;
  bool finished_ = false;
};

// Nothing of an older set is touched before every file of the new one is on the disk. Then the old last file goes, the others
// take their names, and the new last file comes: a process that is killed there leaves no set, never parts of two.
class AtomicFiles {
 public:
  AtomicFile& add(const std::filesystem::path& target);
  void commit();

 private:
  std::vector<std::unique_ptr<AtomicFile>> files_;
};

void write_file(const std::filesystem::path& path, std::string_view bytes);  // atomic
std::string read_file(const std::filesystem::path& path);  // whole; kData when unreadable

// Creates the folder and its parents; kData with a hint when it cannot be written.
void make_folder(const std::filesystem::path& path);

// SHA-256 of a file's bytes as 64 hex digits, streamed.
std::string sha256_file(const std::filesystem::path& path);
std::string sha256(std::span<const uint8_t> bytes);

}  // namespace covary
