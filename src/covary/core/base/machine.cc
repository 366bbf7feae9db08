#include "covary/core/base/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "covary/core/base/threads.h"

namespace covary {
namespace {

std::mutex g_mutex;
std::map<std::string, std::string>& named_fields() {
  static std::map<std::string, std::string> fields;
  return fields;
}

// The value of the first line "key<separator>value" of a file, without blanks and quotes around it;
// or empty.
std::string field_of(const char* file, const std::string& key, char separator) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t at = line.find(separator);
    if (at == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t\"", at + 1),
                 end = line.find_last_not_of(" \t\"");
    return begin == std::string::npos ? "" : line.substr(begin, end + 1 - begin);
  }
  return "";
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

std::string compiler() {
#if defined(__clang__)
  return std::string("clang ") + std::to_string(__clang_major__) + "." +
         std::to_string(__clang_minor__) + "." + std::to_string(__clang_patchlevel__);
#else
  return std::string("gcc ") + __VERSION__;
#endif
}

}  // namespace

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cpu_seconds() {
  timespec t{};  // to the nanosecond, where the usage of a process counts in ticks on some systems
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

int64_t peak_memory_bytes() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return int64_t{u.ru_maxrss} * 1024;
}

int64_t memory_bytes() {
  std::ifstream in("/proc/self/statm");
  int64_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t total_memory_bytes() {
  return int64_t{sysconf(_SC_PHYS_PAGES)} * int64_t{sysconf(_SC_PAGESIZE)};
}

nlohmann::json machine_description() {
  std::string cpu = field_of("/proc/cpuinfo", "model name", ':');
  utsname name{};
  uname(&name);
  if (cpu.empty()) cpu = name.machine;
  std::string os = field_of("/etc/os-release", "PRETTY_NAME", '=');
  os = (os.empty() ? std::string(name.sysname) : os) + ", " + name.sysname + " " + name.release;
  nlohmann::json j = {{"cpu", cpu},
                      {"cores", usable_cores()},
                      {"threads", threads()},
                      {"memory_gb", static_cast<double>(total_memory_bytes() >> 20) / 1024},
                      {"gpu", nullptr},
                      {"simd", nullptr},
                      {"os", os},
                      {"compiler", compiler()},
                      {"torch", nullptr},
                      {"covary", version()},
                      {"commit", nullptr}};
  if (*commit()) j["commit"] = commit();
  const std::lock_guard<std::mutex> lock(g_mutex);
  for (const auto& [key, value] : named_fields()) j[key] = value;
  return j;
}

void set_machine_field(const std::string& key, const std::string& value) {
  const std::lock_guard<std::mutex> lock(g_mutex);
  named_fields()[key] = value;
}

const char* version() { return COVARY_VERSION; }

}  // namespace covary
