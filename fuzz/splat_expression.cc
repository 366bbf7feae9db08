// Expressions over the columns of a scene. What is taken must be taken again as the text that it prints, and
// give the same values.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "covary/core/base/expression.h"
#include "fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr int64_t kRows = 3;
  const std::string text(data + 1, data + size);
  covary::fuzz::expect_error_or_success([&] {
    const covary::Expression e = covary::Expression::parse(text);
    const covary::Expression again = covary::Expression::parse(e.text());
    if (again.text() != e.text() || again.names() != e.names()) std::abort();
    std::vector<int64_t> widths;
    std::vector<std::vector<double>> values;
    for (size_t i = 0; i < e.names().size(); ++i) {
      widths.push_back(((data[0] >> (i % 8)) & 1) ? 3 : 1);
      std::vector<double> v;
      for (int64_t k = 0; k < kRows * widths[i]; ++k)
        v.push_back(
            std::ldexp(static_cast<double>((7 * k + 5) % 13 - 6), static_cast<int>(i % 64)));
      values.push_back(v);
    }
    std::vector<const double*> columns;
    for (const auto& v : values) columns.push_back(v.data());
    std::vector<double> first(kRows), second(kRows);
    e.bind(widths).evaluate(kRows, columns, first.data());
    again.bind(widths).evaluate(kRows, columns, second.data());
    for (size_t i = 0; i < first.size(); ++i)
      if (first[i] != second[i] && !(std::isnan(first[i]) && std::isnan(second[i]))) std::abort();
  });
  return 0;
}
