#include "covary/cli/invocation.h"

namespace covary::cli {

nlohmann::json Invocation::to_json() const {
  nlohmann::json j = {
      {"verb", verb},     {"inputs", inputs}, {"outputs", outputs}, {"options", options},
      {"common", common}, {"set", set},       {"json", json},       {"json_file", json_file},
  };
  j["sweeps"] = nlohmann::json::array();
  for (const Sweep& s : sweeps) j["sweeps"].push_back({{"key", s.key}, {"values", s.values}});
  return j;
}

Invocation Invocation::from_json(const nlohmann::json& j) {
  Invocation v;
  v.verb = j.at("verb");
  v.inputs = j.at("inputs").get<std::vector<std::string>>();
  v.outputs = j.at("outputs").get<std::vector<std::string>>();
  v.options = j.at("options");
  v.common = j.at("common");
  v.set = j.at("set").get<std::vector<std::string>>();
  v.json = j.at("json");
  v.json_file = j.at("json_file");
  for (const auto& s : j.at("sweeps"))
    v.sweeps.push_back({s.at("key"), s.at("values").get<std::vector<std::string>>()});
  return v;
}

const std::vector<std::string>& recorded_common() {
  static const std::vector<std::string> names = {"seed", "threads", "device", "precision",
                                                 "parity"};
  return names;
}

nlohmann::json recorded_options(const Invocation& invocation) {
  nlohmann::json j = invocation.options;
  for (const std::string& name : recorded_common())
    if (!j.contains(name) && invocation.common.contains(name)) j[name] = invocation.common[name];
  return j;
}

}  // namespace covary::cli
