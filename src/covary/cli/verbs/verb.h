// What every verb is given and gives back. A verb is thin: it reads its options, calls the rooms, and says what came out.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "covary/cli/common_options.h"
#include "covary/cli/invocation.h"

namespace covary::cli {

struct Job {
  Invocation invocation;
  CommonOptions common;

  // Whether an option was given, on the command line or by a config.
  bool typed(const std::string& name) const {
    return std::find(invocation.set.begin(), invocation.set.end(), name) != invocation.set.end();
  }

  // The verb's options struct, filled in.
  template <class T>
  T options() const {
    T options;
    OptionList list(options);
    list.apply(invocation.options, "options");
    list.finish();
    return options;
  }
};

struct Result {
  nlohmann::json document;  // for --json
  std::string text;         // for people; on stdout, with --json on stderr
  int exit_code = 0;
};

Result run_capture(const Job& job);
Result run_train(const Job& job);
Result run_eval(const Job& job);
Result run_render(const Job& job);
Result run_convert(const Job& job);
Result run_surface(const Job& job);
Result run_edit(const Job& job);
Result run_view(const Job& job);
Result run_info(const Job& job);
Result run_study(const Job& job);

Result run_gp_fit(const Job& job);
Result run_gp_predict(const Job& job);
Result run_gp_update(const Job& job);
Result run_gp_sample(const Job& job);
Result run_gp_score(const Job& job);
Result run_gp_inspect(const Job& job);

Result run_mixture_fit(const Job& job);
Result run_mixture_predict(const Job& job);
Result run_mixture_score(const Job& job);
Result run_mixture_sample(const Job& job);
Result run_mixture_select(const Job& job);
Result run_mixture_inspect(const Job& job);

Result run_filter_fit(const Job& job);
Result run_filter_run(const Job& job);
Result run_filter_smooth(const Job& job);
Result run_filter_sample(const Job& job);

Result run_density_fit(const Job& job);
Result run_density_score(const Job& job);
Result run_density_sample(const Job& job);

Result run_special_log_i(const Job& job);
Result run_special_log_k(const Job& job);
Result run_special_ratio(const Job& job);
Result run_optimize_run(const Job& job);
Result run_optimize_ask(const Job& job);
Result run_optimize_tell(const Job& job);

}  // namespace covary::cli
