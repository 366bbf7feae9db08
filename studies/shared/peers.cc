#include "studies/shared/peers.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

namespace covary::studies {

std::vector<nlohmann::json> peer_lines(eval::StudyContext& c, const std::string& script,
                                       const std::string& arguments) {
  const char* python = std::getenv("COVARY_PEERS");
  if (!python)
    c.skip("set COVARY_PEERS to a Python that has the libraries of bench/peers/" + script);
  const std::string file = "bench/peers/" + script;
  if (!std::filesystem::exists(file)) c.skip("run it in the repository: " + file + " is not here");
  const std::string command = "'" + std::string(python) + "' " + file + " " + arguments;
  std::string text;
  {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    if (!pipe) c.skip("the peers' Python does not start");
    char buffer[512];
    while (std::fgets(buffer, sizeof(buffer), pipe.get())) text += buffer;
  }
  std::vector<nlohmann::json> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    nlohmann::json line = nlohmann::json::parse(text.substr(at, end - at), nullptr, false);
    if (line.is_object()) lines.push_back(std::move(line));
    at = end + 1;
  }
  if (lines.empty()) c.skip(file + " printed no figure");
  return lines;
}

std::string this_program() {
  return "'" + std::filesystem::read_symlink("/proc/self/exe").string() + "'";
}

double peer_value(eval::StudyContext& c, const std::vector<nlohmann::json>& lines,
                  const std::string& peer, const std::string& key) {
  for (const nlohmann::json& line : lines) {
    if (line.value("who", "") == peer && line.contains(key) && line[key].is_number())
      return line[key].get<double>();
  }
  c.skip(peer + " gave no figure");
}

eval::BarResult times_faster(const std::string& peer, double peer_seconds, double own_seconds,
                             double times, int64_t runs) {
  char words[64];
  std::snprintf(words, sizeof(words), "%s >= %gx ours", peer.c_str(), times);
  eval::BarResult r;
  r.baseline = eval::Quantity{.name = peer, .value = peer_seconds, .unit = "s", .n = runs};
  r.ours = eval::Quantity{.value = own_seconds, .unit = "s", .n = runs};
  r.bound = {.text = words, .left = peer_seconds, .op = ">=", .right = times * own_seconds};
  return r;
}

}  // namespace covary::studies
