#include "covary/stat/process/black_box.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <thread>

#include "covary/core/base/child.h"
#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::stat {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// Words in braces of a template: place and length of the whole, and the word. ${word} is the shell's.
struct Hole {
  size_t begin, length;
  std::string word;
};
std::vector<Hole> holes_of(const std::string& command) {
  std::vector<Hole> holes;
  for (size_t i = 0; i < command.size(); ++i) {
    if (command[i] != '{' || (i > 0 && command[i - 1] == '$')) continue;
    const size_t end = command.find('}', i);
    if (end == std::string::npos) break;
    const std::string word = command.substr(i + 1, end - i - 1);
    const bool plain = !word.empty() && word.find_first_of(" \t\n,.;{\"'") == std::string::npos;
    if (plain) holes.push_back({i, end - i + 1, word});
  }
  return holes;
}

std::string last_line(const std::string& text) {
  size_t end = text.size();
  while (end > 0) {
    const size_t begin =
        text.rfind('\n', end - 1) == std::string::npos ? 0 : text.rfind('\n', end - 1) + 1;
    const std::string line = text.substr(begin, end - begin);
    if (line.find_first_not_of(" \t\r\n") != std::string::npos) return line;
    if (begin == 0) break;
    end = begin - 1;
  }
  return "";
}

}  // namespace

std::vector<double> outputs_of_line(const std::string& line, const OptimizerGoal& goal) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ExitCode::kData, what, "\"" + line.substr(0, 60) + "\"",
                "print " + std::to_string(goal.outputs()) + " number(s), or {\"" + goal.names()[0] +
                    "\": NUMBER}");
  };
  std::vector<double> values;
  const size_t first = line.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) refuse("is empty");
  if (line[first] == '{') {
    const json j = json::parse(line, nullptr, false);
    if (!j.is_object()) refuse("is no JSON object");
    for (const std::string& name : goal.names()) {
      const auto it = j.find(name);
      if (it == j.end()) refuse("does not hold " + name);
      if (it->is_null() || *it == "nan") {
        values.push_back(std::numeric_limits<double>::quiet_NaN());
      } else if (it->is_number()) {
        values.push_back(it->get<double>());
      } else {
        refuse(name + " is no number");
      }
    }
    return values;
  }
  for (size_t i = first; i < line.size();) {
    const size_t end = std::min(line.find_first_of(" \t\r\n,;", i), line.size());
    double v = 0;
    const char* begin = line.data() + i + (line[i] == '+' ? 1 : 0);
    const auto [at, error] = std::from_chars(begin, line.data() + end, v);
    if (error != std::errc() || at != line.data() + end) refuse("holds what is no number");
    values.push_back(v);
    i = line.find_first_not_of(" \t\r\n,;", end);
    if (i == std::string::npos) break;
  }
  if (values.size() != goal.outputs() && !(values.size() == 1 && std::isnan(values[0]))) {
    refuse("holds " + std::to_string(values.size()) + " numbers for " +
           std::to_string(goal.outputs()) + " outputs");
  }
  return values;
}

ordered_json row_json(const SearchSpace& space, const std::vector<double>& row) {
  ordered_json j;
  for (int64_t i = 0; i < space.size(); ++i) {
    const SearchParameter& p = space.parameters()[static_cast<size_t>(i)];
    const double v = row[static_cast<size_t>(i)];
    if (p.kind == SearchParameter::Kind::kCategorical)
      j[p.name] = p.values[static_cast<size_t>(v)];
    else if (p.kind == SearchParameter::Kind::kInteger)
      j[p.name] = static_cast<int64_t>(v);
    else
      j[p.name] = v;
  }
  return j;
}

CommandBox::CommandBox(std::string command, const SearchSpace& space, const OptimizerGoal& goal,
                       double limit_s)
    : command_(std::move(command)), space_(space), goal_(goal), limit_s_(limit_s) {
  if (command_.find_first_not_of(" \t\n") == std::string::npos) {
    throw Error(ExitCode::kUsage, "is empty", "--command", "write --command './sim {x}'");
  }
  std::vector<std::string> known = {"x", "json"};
  for (const SearchParameter& p : space_.parameters()) known.push_back(p.name);
  for (const Hole& h : holes_of(command_)) {
    if (std::find(known.begin(), known.end(), h.word) != known.end()) continue;
    const std::string near = nearest_word(h.word, known);
    throw Error(ExitCode::kUsage, "{" + h.word + "} is no parameter", "--command",
                near.empty()
                    ? "{x} stands for all values, {NAME} for one, {json} for an object of them"
                    : "did you mean {" + near + "}?");
  }
}

std::string CommandBox::line(const std::vector<double>& row) const {
  const auto value = [&](int64_t i) {
    const std::string text = space_.text_of(i, row[static_cast<size_t>(i)]);
    const bool word =
        space_.parameters()[static_cast<size_t>(i)].kind == SearchParameter::Kind::kCategorical;
    return word ? quoted(text) : text;
  };
  std::string out;
  size_t done = 0;
  for (const Hole& h : holes_of(command_)) {
    out += command_.substr(done, h.begin - done);
    done = h.begin + h.length;
    bool found = false;
    for (int64_t i = 0; i < space_.size() && !found; ++i) {
      if (space_.parameters()[static_cast<size_t>(i)].name != h.word) continue;
      out += value(i);
      found = true;
    }
    if (found) continue;
    if (h.word == "json") {
      out += quoted(row_json(space_, row).dump());
    } else {
      for (int64_t i = 0; i < space_.size(); ++i) out += (i ? " " : "") + value(i);
    }
  }
  return out + command_.substr(done);
}

std::vector<BoxOutcome> CommandBox::evaluate(const std::vector<std::vector<double>>& rows) const {
  std::vector<BoxOutcome> out(rows.size());
  const auto one = [&](size_t i) {
    BoxOutcome& o = out[i];
    o.values = {std::numeric_limits<double>::quiet_NaN()};
    try {
      const ChildResult r =
          run_shell(line(rows[i]), row_json(space_, rows[i]).dump() + "\n", limit_s_);
      o.interrupted = r.interrupted;
      if (r.timed_out)
        o.fault = "took longer than its limit";
      else if (r.status != 0)
        o.fault = "ended with status " + std::to_string(r.status);
      else
        o.values = outputs_of_line(last_line(r.output), goal_);
      if (o.fault.empty() && std::isnan(o.values[0])) o.fault = "said nan";
      for (const double v : o.values) {
        if (!std::isinf(v)) continue;
        o.fault = "said an infinite value";
        o.values = {std::numeric_limits<double>::quiet_NaN()};
        break;
      }
    } catch (const Error& e) {
      o.fault = e.what();
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < rows.size(); ++i) threads.emplace_back(one, i);
  if (!rows.empty()) one(0);
  for (std::thread& t : threads) t.join();
  return out;
}

SearchSpace space_of(const TestProblem& problem) {
  std::vector<SearchParameter> parameters;
  for (size_t k = 0; k < problem.lower.size(); ++k) {
    SearchParameter p{
        .name = "x" + std::to_string(k), .lower = problem.lower[k], .upper = problem.upper[k]};
    if (problem.integer[k]) p.kind = SearchParameter::Kind::kInteger;
    parameters.push_back(p);
  }
  return SearchSpace(std::move(parameters));
}

OptimizerGoal goal_of(const TestProblem& problem) {
  OptimizerGoal goal;
  goal.objectives.clear();
  for (int64_t k = 0; k < problem.objectives; ++k) {
    OptimizerGoal::Objective o{.maximise = problem.maximise};
    if (problem.objectives > 1) {
      o.name += std::to_string(k);
      o.reference = problem.reference[static_cast<size_t>(k)];
    }
    goal.objectives.push_back(o);
  }
  for (int64_t k = 0; k < problem.constraints; ++k)
    goal.limits.push_back({"c" + std::to_string(k), 0});
  return goal;
}

std::vector<double> outputs_of(const TestProblem& problem, const std::vector<double>& row) {
  std::vector<double> values(static_cast<size_t>(problem.objectives)),
      limits(static_cast<size_t>(problem.constraints));
  problem.evaluate(row, values, limits);
  values.insert(values.end(), limits.begin(), limits.end());
  return values;
}

}  // namespace covary::stat
