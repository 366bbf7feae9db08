// covary special log-i|log-k|ratio [ORDERS] [X]
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>

#include "covary/cli/special_options.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/log.h"
#include "covary/core/compute/bessel/op.h"
#include "covary/core/data/archive.h"

namespace covary::cli {
namespace {

using compute::BesselKind;
using nlohmann::json;

constexpr int64_t kMostListed = 1000;  // numbers in a JSON document

// Orders or arguments, and the flag, number or file that they came from.
struct Numbers {
  at::Tensor of;
  std::string from;
  bool file = false;
};

std::string shape_text(at::IntArrayRef shape) {
  std::string text;
  for (const int64_t n : shape) text += (text.empty() ? "" : ",") + std::to_string(n);
  return "[" + text + "]";
}

Numbers from_list(const std::vector<double>& list, const char* flag) {
  const auto n = static_cast<int64_t>(list.size());
  const at::Tensor all = at::tensor(list, at::kDouble);
  return {n == 1 ? all.squeeze(0) : all, flag};
}

at::Tensor read_array(const std::string& input) {
  const data::Array array = data::read_npy(input);
  at::Tensor t = at::empty(array.shape, at::kDouble);
  const auto copy = [&](const auto* from) {
    for (int64_t i = 0; i < array.count(); ++i)
      t.data_ptr<double>()[i] = static_cast<double>(from[i]);
  };
  switch (array.dtype) {
    case data::DType::kFloat32:
      copy(array.as<float>());
      return t.to(at::kFloat);
    case data::DType::kFloat64:
      std::memcpy(t.data_ptr<double>(), array.bytes.data(), array.bytes.size());
      return t;
    case data::DType::kInt32:
      copy(array.as<int32_t>());
      return t;
    case data::DType::kInt64:
      copy(array.as<int64_t>());
      return t;
    case data::DType::kUInt16:
      copy(array.as<uint16_t>());
      return t;
    default:
      throw Error(ExitCode::kData, "holds no numbers of 16 bits or more", input,
                  "save it as float64");
  }
}

at::Tensor column_tensor(const data::Table& table, int64_t column) {
  at::Tensor t = at::empty({table.rows}, at::kDouble);
  for (int64_t i = 0; i < table.rows; ++i) t.data_ptr<double>()[i] = table.at(i, column);
  return t;
}

// One number, an array of any shape, or the first column of a table.
Numbers from_input(const std::string& input) {
  char* end = nullptr;
  const double number = std::strtod(input.c_str(), &end);
  if (!input.empty() && *end == 0 && !std::filesystem::exists(input))
    return {at::scalar_tensor(number, at::kDouble), input};
  if (std::filesystem::path(input).extension() == ".npy") return {read_array(input), input, true};
  const data::Table table = read_input(input);
  if (table.columns() != 1)
    throw Error(ExitCode::kData, "has " + std::to_string(table.columns()) + " columns", input,
                "give a table of one column, or one table with orders and x alone");
  return {column_tensor(table, 0), input, true};
}

struct Pair {
  Numbers order, x;
  bool table = false;  // both are columns of one
};

Pair from_table(const std::string& input, const std::vector<std::string>& columns) {
  const data::Table table = read_input(input);
  return in_file(input, [&] {
    int64_t order = 0, x = 1;
    if (!columns.empty()) {
      order = table.column(columns[0]);
      x = table.column(columns[1]);
    } else if (std::count(table.names.begin(), table.names.end(), "order") == 1 &&
               std::count(table.names.begin(), table.names.end(), "x") == 1) {
      order = table.column("order");
      x = table.column("x");
    } else if (table.columns() < 2) {
      throw Error(ExitCode::kData, "has one column, and neither --order nor --x is given", input,
                  "write --order 2.5 or --x 10, or give a table with both");
    }
    return Pair{
        {column_tensor(table, order), input, true}, {column_tensor(table, x), input, true}, true};
  });
}

Pair read_numbers(const BesselNumbers& o, const std::vector<std::string>& inputs) {
  const auto refuse = [](const std::string& what, const std::string& where) {
    throw Error(ExitCode::kUsage, what, where,
                "write --order 1023 --x 1000, or ORDERS X, or one of the two and a file");
  };
  if (!o.columns.empty() && (o.columns.size() != 2 || inputs.size() != 1))
    refuse("names the two columns of one table", "--columns");
  const size_t given = inputs.size() + !o.order.empty() + !o.x.empty();
  if (inputs.size() == 1 && given == 1) return from_table(inputs[0], o.columns);
  if (given < 2)
    refuse(o.order.empty() ? "no orders are given" : "no arguments are given",
           o.order.empty() ? "--order" : "--x");
  if (given > 2) refuse("more than orders and arguments are given", inputs.back());
  Pair p;
  p.order = o.order.empty() ? from_input(inputs[0]) : from_list(o.order, "--order");
  p.x = o.x.empty() ? from_input(inputs.back()) : from_list(o.x, "--x");
  return p;
}

// Refuses by name what the function has no real value for, whatever x.
void check_orders(const Numbers& order, bool whole_allowed) {
  const at::Tensor v = order.of.to(at::kDouble).contiguous();
  for (int64_t i = 0; i < v.numel(); ++i) {
    const double value = v.data_ptr<double>()[i];
    if (!(value < 0) || (whole_allowed && value == std::floor(value))) continue;
    throw Error(order.file ? ExitCode::kData : ExitCode::kUsage,
                "order " + number_text("%g", value) + " is negative" +
                    (whole_allowed ? " and not whole" : ""),
                order.from + (v.numel() > 1 ? ", element " + std::to_string(i) : ""),
                whole_allowed ? "I has orders >= 0 and whole ones; K is even in its order"
                              : "ratios have orders >= 0");
  }
}

json json_number(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  return v;
}

void write_array(const std::string& file, const at::Tensor& values) {
  const at::Tensor t = values.contiguous();
  data::Array array;
  array.dtype = t.scalar_type() == at::kFloat ? data::DType::kFloat32 : data::DType::kFloat64;
  array.shape = t.sizes().vec();
  array.bytes.resize(static_cast<size_t>(t.numel()) * t.element_size());
  std::memcpy(array.bytes.data(), t.const_data_ptr(), array.bytes.size());
  data::write_npy(file, array);
  log_info("wrote " + file);
}

// The largest dtype of both, and float only where no float64 is there.
void same_dtype(Pair& p) {
  const bool both = p.order.of.scalar_type() == at::kFloat && p.x.of.scalar_type() == at::kFloat;
  // A number beside a float array goes with it.
  const bool one = (p.order.of.scalar_type() == at::kFloat && !p.x.file) ||
                   (p.x.of.scalar_type() == at::kFloat && !p.order.file);
  const auto type = both || one ? at::kFloat : at::kDouble;
  p.order.of = p.order.of.to(type);
  p.x.of = p.x.of.to(type);
}

at::Tensor flat(const at::Tensor& t, at::IntArrayRef shape) {
  return t.expand(shape).reshape({-1}).to(at::kDouble);
}

// `names`: of the parts in the last dimension, the function's own first.
Result show(const Job& job, const Pair& p, const compute::BesselTable& table,
            const std::vector<std::string>& names, json document) {
  const at::Tensor& parts = table.parts;
  const at::IntArrayRef shape = parts.sizes().slice(0, static_cast<size_t>(parts.dim() - 1));
  const int64_t n = parts.numel() / std::max<int64_t>(1, parts.size(-1));
  if (table.outside > 0)
    log_warning("outside the domain (x < 0, or not a number), and nan: " +
                count_text(table.outside) + " of " + count_text(n) + " elements");
  const std::string output = one_output(job.invocation.outputs);
  const bool single = names.size() == 1;
  if (output.ends_with(".npy")) {
    write_array(output, single ? parts.squeeze(-1) : parts);
  }
  const auto as_table = [&] {
    std::vector<std::string> head = {"order", "x"};
    head.insert(head.end(), names.begin(), names.end());
    return table_of(
        head, {flat(p.order.of, shape), flat(p.x.of, shape), parts.reshape({n, parts.size(-1)})});
  };
  const bool on_screen = output.empty() || output == "-";
  if (!on_screen && !output.ends_with(".npy")) write_table(output, as_table());

  Result r;
  r.document = std::move(document);
  r.document["shape"] = shape.vec();
  r.document["elements"] = n;
  r.document["outside"] = table.outside;
  if (!on_screen) r.document["file"] = output;
  if (on_screen && n <= kMostListed) {
    for (size_t i = 0; i < names.size(); ++i) {
      const at::Tensor part =
          parts.select(-1, static_cast<int64_t>(i)).to(at::kDouble).contiguous().view({-1});
      json values = json::array();
      for (int64_t k = 0; k < n; ++k) values.push_back(json_number(part.data_ptr<double>()[k]));
      r.document[names[i]] = shape.empty() ? values[0] : values;
    }
  }
  if (on_screen && n == 1 && single)
    r.text = number_text("%.17g", parts.to(at::kDouble).item<double>()) + "\n";
  else if (on_screen)
    r.text = write_table("-", as_table());
  else
    r.text = count_text(n) + " values " + shape_text(shape) + "\n";
  return r;
}

void check_shapes(const Pair& p) {
  const auto a = p.order.of.sizes(), b = p.x.of.sizes();
  for (size_t i = 1; i <= std::min(a.size(), b.size()); ++i) {
    const int64_t m = a[a.size() - i], n = b[b.size() - i];
    if (m == n || m == 1 || n == 1) continue;
    throw Error(p.order.file || p.x.file ? ExitCode::kData : ExitCode::kUsage,
                "orders " + shape_text(a) + " and arguments " + shape_text(b) + " do not broadcast",
                p.x.from, "shapes go together as in NumPy, from the last dimension on");
  }
}

Result log_of(BesselKind kind, const Job& job) {
  const auto o = job.options<LogBesselOptions>();
  Pair p = read_numbers(o, job.invocation.inputs);
  if (kind == BesselKind::kI) check_orders(p.order, true);
  check_shapes(p);
  same_dtype(p);
  const int derivatives = o.derivatives == "second" ? 2 : o.derivatives == "first" ? 1 : 0;
  const compute::BesselTable table =
      compute::bessel_table({kind, o.scaled}, p.order.of, p.x.of, derivatives);
  std::vector<std::string> names = {kind == BesselKind::kI ? "log_i" : "log_k",
                                    "d_order",
                                    "d_x",
                                    "d_order_order",
                                    "d_order_x",
                                    "d_x_x"};
  names.resize(static_cast<size_t>(table.parts.size(-1)));
  return show(job, p, table, names, {{"function", names[0]}, {"scaled", o.scaled}});
}

}  // namespace

Result run_special_log_i(const Job& job) { return log_of(BesselKind::kI, job); }
Result run_special_log_k(const Job& job) { return log_of(BesselKind::kK, job); }

Result run_special_ratio(const Job& job) {
  const auto o = job.options<BesselRatioOptions>();
  Pair p = read_numbers(o, job.invocation.inputs);
  check_orders(p.order, false);
  check_shapes(p);
  same_dtype(p);
  const compute::BesselTable table = compute::bessel_ratio_table(
      o.kind == "k" ? BesselKind::kK : BesselKind::kI, p.order.of, p.x.of);
  return show(job, p, table, {"ratio"}, {{"function", "ratio"}, {"kind", o.kind}});
}

}  // namespace covary::cli
