// covary study SLUG | --list | --all | --check FILE | --table
#include <iostream>

#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/eval/study.h"

namespace covary::cli {

Result run_study(const Job& job) {
  auto options = job.options<eval::StudyOptions>();
  const Invocation& v = job.invocation;
  if (!v.inputs.empty()) options.slug = v.inputs[0];
  if (v.outputs.size() > 1)
    throw Error(ExitCode::kUsage, "two outputs", "-o " + v.outputs[1], "a study takes one folder");
  if (!v.outputs.empty()) options.output = v.outputs[0];
  options.json_file = v.json_file;
  options.json_stdout = v.json && v.json_file.empty();
  options.resume = job.common.resume;
  options.overwrite = job.common.overwrite;
  options.seed = job.common.seed;
  options.validate();
  Result result;
  result.exit_code = eval::study_main(options, std::cout);
  std::cout.flush();
  return result;
}

}  // namespace covary::cli
