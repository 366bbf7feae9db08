// The launcher: reads the command line, and opens the library of verbs beside itself when a verb is
// to work. It links no torch, so that help and usage errors are instant.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "covary/cli/error_report.h"
#include "covary/cli/grammar.h"
#include "covary/core/base/error.h"

namespace {

using covary::Error;
using covary::ExitCode;

// covary_run of libcovary_verbs.so: an invocation as JSON in, the exit code out.
using RunFunction = int (*)(const char*);

RunFunction open_verbs() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  std::string why;
  for (const fs::path& path :
       {folder / "libcovary_verbs.so", folder.parent_path() / "lib" / "libcovary_verbs.so"}) {
    if (!fs::exists(path, ignored)) continue;
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL))
      if (void* symbol = dlsym(library, "covary_run")) return reinterpret_cast<RunFunction>(symbol);
    why = dlerror();
    throw Error(ExitCode::kFailed, "cannot be opened: " + why, path.string(),
                "build again; if libtorch was moved, run scripts/bootstrap");
  }
  throw Error(ExitCode::kFailed, "is not beside the program",
              (folder / "libcovary_verbs.so").string(),
              "build the target covary again, or install both files together");
}

// The threads of libgomp, which is inside libtorch, spin for milliseconds when they wait for one another. On a machine that
// does anything else at the time this costs more than it gains: measured with two busy neighbours, three times the CPU
// seconds and four times the wall clock of threads that sleep. libgomp reads the setting while it is loaded, so the program
// starts itself once more with it, unless the user has said how threads are to wait.
void wait_without_spinning(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
  setenv("GOMP_SPINCOUNT", "0", 1);
  std::error_code ignored;  // when this fails, things work, only slower
  execv(std::filesystem::read_symlink("/proc/self/exe", ignored).c_str(), argv);
}

#if defined(__SANITIZE_ADDRESS__)
#define COVARY_LEAKS_ARE_LOOKED_FOR
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COVARY_LEAKS_ARE_LOOKED_FOR
#endif
#endif

// Ends the program. To destroy the tables of operators in libtorch takes as long as half of loading it, and the system takes
// the memory anyway; only a search for leaks wants them gone.
int leave(int code) {
#if !defined(COVARY_LEAKS_ARE_LOOKED_FOR)
  std::fflush(nullptr);
  _exit(code);
#endif
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  bool json = false;
  std::string json_file;
  covary::cli::find_json(args, &json, &json_file);
  try {
    const covary::cli::Parsed parsed = covary::cli::parse(args);
    if (!parsed.invocation) {
      std::fwrite(parsed.text.data(), 1, parsed.text.size(), stdout);
      return std::fflush(stdout) == 0 ? 0 : static_cast<int>(ExitCode::kData);
    }
    wait_without_spinning(argv);
    const RunFunction run = open_verbs();
    const int code = run(parsed.invocation->to_json()
                             .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
                             .c_str());
    return leave(code);
  } catch (const Error& e) {
    return covary::cli::report_error(e, json, json_file);
  } catch (const std::exception& e) {
    return covary::cli::report_error(
        Error(ExitCode::kFailed, std::string("internal error: ") + e.what(), "",
              "please report this command"),
        json, json_file);
  }
}
