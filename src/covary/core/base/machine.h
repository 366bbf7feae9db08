// What this machine is and what the process has used, for run folders and reports.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace covary {

double wall_seconds();        // monotonic
double cpu_seconds();         // user + system time of the process, all threads
int64_t peak_memory_bytes();  // largest resident set so far
int64_t memory_bytes();       // resident set now
int64_t total_memory_bytes();

// {"cpu", "cores", "threads", "memory_gb", "gpu", "simd", "os", "compiler", "torch", "covary", "commit"}: the machine
// object of run folders and study documents. simd and torch are null until set_machine_field names them.
nlohmann::json machine_description();
void set_machine_field(const std::string& key, const std::string& value);

const char* version();  // of Covary, "0.1.0"
const char*
commit();  // of the build, "3d068b531121" or "3d068b531121-dirty"; empty outside a git checkout

}  // namespace covary
