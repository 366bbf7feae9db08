// CSV for analysis: a row a splat, columns called as in the 3DGS .ply (x, y, z, f_dc_0 .., f_rest_0 ..
// channel-major, opacity, scale_0 .., rot_0 ..), others beside them. Numbers have the shortest digits that
// read back to the same float.
#include <array>
#include <charconv>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/table.h"
#include "covary/splat/scene/byte_reader.h"
#include "covary/splat/scene/cloud_arrays.h"
#include "covary/splat/scene/format_table.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 14> kNames = {
    "x",       "y",       "z",       "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
    "scale_0", "scale_1", "scale_2", "rot_0",  "rot_1",  "rot_2",  "rot_3"};
constexpr int64_t kBlock = 1 << 12;  // rows

bool is_csv(const Probe& p) {
  if (!p.has_extension(".csv")) return false;
  const std::string line = "," + p.head.substr(0, p.head.find_first_of("\r\n")) + ",";
  for (const char* name : {"x", "opacity", "scale_0", "rot_0", "f_dc_0"})
    if (line.find("," + std::string(name) + ",") == std::string::npos) return false;
  return true;
}

Cloud read(const fs::path& path, const ReadOptions&) {
  data::TableOptions how;
  how.header = "yes";
  how.allow_words = false;
  const data::Table t = data::read_table(path, how);
  std::vector<int64_t> at;
  for (const char* name : kNames) at.push_back(t.column(name));
  int64_t rest = 0;
  for (const std::string& name : t.names) rest += name.starts_with("f_rest_");
  int degree = 0;
  while (degree < 4 && 3 * rest_of_degree(degree) < rest) ++degree;
  if (3 * rest_of_degree(degree) != rest)
    throw Error(ExitCode::kData,
                "there are " + std::to_string(rest) + " columns f_rest_*: no degree has so many",
                path.string() + ": header", "degrees 0 to 4 have 0, 9, 24, 45, 72");
  const int64_t per = rest / 3;
  for (int64_t k = 0; k < per; ++k)
    for (int64_t c = 0; c < 3; ++c) at.push_back(t.column("f_rest_" + std::to_string(c * per + k)));
  NewCloud out(t.rows, degree);
  const auto put = [&](int64_t row, size_t column) {
    return static_cast<float>(t.at(row, at[column]));
  };
  for (int64_t r = 0; r < t.rows; ++r) {
    for (size_t k = 0; k < 3; ++k) {
      const auto i = 3 * r + static_cast<int64_t>(k);
      out.means[i] = put(r, k);
      out.sh0[i] = put(r, 3 + k);
      out.scales[i] = put(r, 7 + k);
    }
    out.opacities[r] = put(r, 6);
    for (size_t k = 0; k < 4; ++k) out.quats[4 * r + static_cast<int64_t>(k)] = put(r, 10 + k);
    for (int64_t k = 0; k < rest; ++k) out.shN[r * rest + k] = put(r, 14 + static_cast<size_t>(k));
  }
  for (int64_t c = 0; c < t.columns(); ++c) {
    if (std::find(at.begin(), at.end(), c) != at.end()) continue;
    at::Tensor column = at::empty({t.rows}, at::kFloat);
    for (int64_t r = 0; r < t.rows; ++r)
      column.data_ptr<float>()[r] = static_cast<float>(t.at(r, c));
    out.cloud.columns[t.names[static_cast<size_t>(c)]] = column;
  }
  return out.cloud;
}

// Columns [n,k] of doubles, in the order of their names.
std::vector<at::Tensor> wide_columns(const Cloud& cloud) {
  std::vector<at::Tensor> columns;
  for (const auto& [name, t] : cloud.columns)
    columns.push_back(
        (t.dim() == 1 ? t.unsqueeze(1) : t).detach().to(at::kCPU, at::kDouble).contiguous());
  return columns;
}

class Sink : public RowSink {
 public:
  Sink(const fs::path& path, const Cloud& like) : file_(path) {
    std::string header;
    for (const char* name : kNames) header += std::string(header.empty() ? "" : ",") + name;
    for (int64_t k = 0; k < 3 * like.shN.size(1); ++k) header += ",f_rest_" + std::to_string(k);
    for (const auto& [name, t] : like.columns)
      for (int64_t k = 0; k < (t.dim() == 1 ? 1 : t.size(1)); ++k)
        header += "," + name + (t.dim() == 1 ? "" : "_" + std::to_string(k));
    file_.write(header + "\n");
  }

  void append(const Cloud& rows) override {
    const CloudValues in(rows);
    const std::vector<at::Tensor> columns = wide_columns(rows);
    // Each block to its own text, so that several are made at once.
    std::vector<std::string> text(static_cast<size_t>((in.n + kBlock - 1) / kBlock));
    parallel_tasks(static_cast<int64_t>(text.size()), [&](int64_t b) {
      std::string& s = text[static_cast<size_t>(b)];
      const auto put = [&](auto v) {
        std::array<char, 32> digits;
        const auto [end, fault] = std::to_chars(digits.data(), digits.data() + digits.size(), v);
        s.append(digits.data(), static_cast<size_t>(end - digits.data()));
        s += ',';
      };
      const int64_t begin = b * kBlock, end = std::min(in.n, begin + kBlock);
      for (int64_t r = begin; r < end; ++r) {
        for (int k = 0; k < 3; ++k) put(in.means[3 * r + k]);
        for (int k = 0; k < 3; ++k) put(in.sh0[3 * r + k]);
        put(in.opacities[r]);
        for (int k = 0; k < 3; ++k) put(in.scales[3 * r + k]);
        for (int k = 0; k < 4; ++k) put(in.quats[4 * r + k]);
        for (int64_t c = 0; c < 3; ++c)
          for (int64_t k = 0; k < in.rest; ++k) put(in.shN[(r * in.rest + k) * 3 + c]);
        for (const at::Tensor& t : columns)
          for (int64_t k = 0; k < t.size(1); ++k)
            put(t.const_data_ptr<double>()[r * t.size(1) + k]);
        s.back() = '\n';
      }
    });
    for (const std::string& s : text) file_.write(s);
  }
  void commit() override { file_.commit(); }

 private:
  AtomicFile file_;
};

}  // namespace

SceneFormat csv_format() {
  SceneFormat f;
  f.name = "csv";
  f.help = "a table: a row a splat, columns called as in the .ply";
  f.extensions = {".csv"};
  f.columns = true;
  f.is = is_csv;
  f.read = read;
  f.create = [](const fs::path& path, const RowPlan& plan,
                const WriteOptions&) -> std::unique_ptr<RowSink> {
    return std::make_unique<Sink>(path, plan.like);
  };
  return f;
}

}  // namespace covary::scene
