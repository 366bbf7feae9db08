#include "covary/stat/process/test_problems.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "covary/core/base/error.h"
#include "covary/stat/process/test_problem_families.h"

namespace covary::stat {
namespace {

// Sizes are up to two numbers, variables and objectives (or the one number a family has).
struct Family {
  const char* name;
  std::vector<int64_t> usual;  // sizes when none are given
  const char* rule;            // of the sizes, for a person
  bool (*allowed)(std::span<const int64_t>);
  TestProblem (*make)(std::span<const int64_t>);
};

using Sizes = std::span<const int64_t>;
constexpr int64_t kMostVariables = 10000;

bool none(Sizes s) { return s.empty(); }
bool some(Sizes s) { return s.size() == 1 && s[0] >= 1 && s[0] <= kMostVariables; }
bool several(Sizes s) { return some(s) && s[0] >= 2; }
bool front(Sizes s, int64_t most) {
  return s.size() == 2 && s[1] >= 2 && s[1] <= most && s[0] >= s[1] && s[0] <= kMostVariables;
}

constexpr const char* kNoSizes = "has no sizes";
constexpr const char* kOneSize = "takes 1 to 10000 variables";
constexpr const char* kFrontSizes = "takes 2 to 10 objectives and as many variables or more";

template <TestProblem (*make)()>
TestProblem fixed(Sizes) {
  return make();
}
template <TestProblem (*make)(int64_t)>
TestProblem sized(Sizes s) {
  return make(s[0]);
}
template <int64_t which>
TestProblem of_zdt(Sizes s) {
  return families::zdt(which, s[0]);
}
template <int64_t which>
TestProblem of_dtlz(Sizes s) {
  return families::dtlz(which, s[0], s[1]);
}
bool most_ten(Sizes s) { return front(s, 10); }

const std::vector<Family>& all_families() {
  using namespace families;
  static const std::vector<Family> list{
      {"ackley", {10}, kOneSize, some, sized<ackley>},
      {"branin", {}, kNoSizes, none, fixed<branin>},
      {"branin_currin", {}, kNoSizes, none, fixed<branin_currin>},
      {"camel", {}, kNoSizes, none, fixed<camel>},
      {"dtlz1", {5, 2}, kFrontSizes, most_ten, of_dtlz<1>},
      {"dtlz2", {6, 2}, kFrontSizes, most_ten, of_dtlz<2>},
      {"dtlz3", {6, 2}, kFrontSizes, most_ten, of_dtlz<3>},
      // With 4 objectives and more, points beside the degenerate curve are not dominated: the front
      // is not known (Huband et al. 2006).
      {"dtlz5",
       {20, 3},
       "takes 2 or 3 objectives and as many variables or more",
       [](Sizes s) { return front(s, 3); },
       of_dtlz<5>},
      {"dtlz7",
       {6, 2},
       "takes 2 to 7 objectives and as many variables or more",
       [](Sizes s) { return front(s, 7); },
       of_dtlz<7>},
      {"gramacy", {}, kNoSizes, none, fixed<gramacy>},
      {"griewank", {10}, kOneSize, some, sized<griewank>},
      {"hartmann",
       {6},
       "has 3 or 6 variables",
       [](Sizes s) { return s.size() == 1 && (s[0] == 3 || s[0] == 6); },
       sized<hartmann>},
      {"levy", {10}, kOneSize, some, sized<levy>},
      {"michalewicz", {10}, kOneSize, some, sized<michalewicz>},
      {"polynomial",
       {200},
       "takes a multiple of 4 variables, 4 to 10000",
       [](Sizes s) { return some(s) && s[0] % 4 == 0; },
       sized<polynomial>},
      {"pressure_vessel", {}, kNoSizes, none, fixed<pressure_vessel>},
      {"rastrigin", {10}, kOneSize, some, sized<rastrigin>},
      {"rosenbrock", {10}, "takes 2 to 10000 variables", several, sized<rosenbrock>},
      {"shekel",
       {10},
       "has 5, 7 or 10 terms",
       [](Sizes s) { return s.size() == 1 && (s[0] == 5 || s[0] == 7 || s[0] == 10); },
       sized<shekel>},
      {"speed_reducer", {}, kNoSizes, none, fixed<speed_reducer>},
      {"styblinski", {10}, kOneSize, some, sized<styblinski>},
      {"welded_beam", {}, kNoSizes, none, fixed<welded_beam>},
      {"zdt1", {30}, "takes 2 to 10000 variables", several, of_zdt<1>},
      {"zdt2", {30}, "takes 2 to 10000 variables", several, of_zdt<2>},
      {"zdt3", {30}, "takes 2 to 10000 variables", several, of_zdt<3>},
  };
  return list;
}

const Family* family_of(std::string_view name) {
  for (const Family& f : all_families()) {
    if (name == f.name) return &f;
  }
  return nullptr;
}

// Letters to change, add or drop to make b of a.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t change = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

[[noreturn]] void refuse_name(std::string_view name) {
  const auto& list = all_families();
  const Family* nearest = &*std::min_element(
      list.begin(), list.end(),
      [&](const Family& a, const Family& b) { return edits(name, a.name) < edits(name, b.name); });
  throw Error(ExitCode::kUsage, "there is no such test problem", std::string(name),
              "the nearest name is " + std::string(nearest->name) +
                  "; sizes are written ackley(10) or dtlz2(6,3)");
}

// A whole number of up to 9 digits.
int64_t size_of(std::string_view text, std::string_view name) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.size() > 9 || error != std::errc() || end != text.data() + text.size()) {
    throw Error(ExitCode::kUsage, "a size must be a whole number", std::string(name),
                "sizes are written ackley(10) or dtlz2(6,3)");
  }
  return value;
}

}  // namespace

TestProblem test_problem(std::string_view name) {
  std::vector<int64_t> sizes;
  const Family* family = family_of(name);
  std::string_view head = name;
  if (family == nullptr && name.ends_with(')') && name.find('(') != std::string_view::npos) {
    const size_t open = name.find('(');
    head = name.substr(0, open);
    family = family_of(head);
    std::string_view rest = name.substr(open + 1, name.size() - open - 2);
    while (family != nullptr) {
      const size_t comma = std::min(rest.find(','), rest.size());
      sizes.push_back(size_of(rest.substr(0, comma), name));
      if (comma == rest.size()) break;
      rest.remove_prefix(comma + 1);
    }
  } else if (family == nullptr) {
    head = name.substr(0, name.find_last_not_of("0123456789") + 1);
    family = family_of(head);
    if (family != nullptr) sizes.push_back(size_of(name.substr(head.size()), name));
  }
  if (family == nullptr) refuse_name(head);
  // dtlz2(6) leaves the number of objectives as it usually is.
  if (sizes.empty()) sizes = family->usual;
  if (sizes.size() == 1 && family->usual.size() == 2) sizes.push_back(family->usual[1]);
  if (!family->allowed(sizes)) {
    throw Error(ExitCode::kUsage, std::string(family->name) + " " + family->rule,
                std::string(name));
  }
  TestProblem problem = family->make(sizes);
  problem.name = family->name;
  for (size_t i = 0; i < sizes.size(); ++i) {
    problem.name += (i == 0 ? "(" : ",") + std::to_string(sizes[i]);
  }
  if (!sizes.empty()) problem.name += ")";
  return problem;
}

std::vector<std::string> test_problem_names() {
  std::vector<std::string> names;
  for (const Family& f : all_families()) names.emplace_back(f.name);
  return names;
}

void TestProblem::evaluate(std::span<const double> x, std::span<double> objective_values,
                           std::span<double> constraint_values) const {
  const auto refuse = [&](const std::string& what) {
    throw Error(ExitCode::kUsage, what, "test problem " + name);
  };
  if (x.size() != lower.size()) {
    refuse("a point has " + std::to_string(lower.size()) + " coordinates, not " +
           std::to_string(x.size()));
  }
  if (static_cast<int64_t>(objective_values.size()) != objectives ||
      static_cast<int64_t>(constraint_values.size()) != constraints) {
    refuse("there are " + std::to_string(objectives) + " objectives and " +
           std::to_string(constraints) + " constraints");
  }
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(x[i] >= lower[i] && x[i] <= upper[i])) {
      refuse("coordinate " + std::to_string(i) + " = " + std::to_string(x[i]) +
             " lies outside its bounds");
    }
    if (integer[i] != 0 && x[i] != std::floor(x[i])) {
      refuse("coordinate " + std::to_string(i) + " = " + std::to_string(x[i]) +
             " must be a whole number");
    }
  }
  formula(x, objective_values, constraint_values);
}

double TestProblem::value(std::span<const double> x) const {
  if (objectives != 1) {
    throw Error(ExitCode::kUsage, "has several objectives: call evaluate", "test problem " + name);
  }
  double result;
  std::vector<double> limits(static_cast<size_t>(constraints));
  evaluate(x, {&result, 1}, limits);
  return result;
}

}  // namespace covary::stat
