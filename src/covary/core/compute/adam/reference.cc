#include <cmath>

#include "covary/core/compute/adam/adam.h"

namespace covary::compute {

template <class T>
void adam_reference(const AdamRule& rule, const AdamRows<T>& rows, const AdamGradient<T>& gradient,
                    UnseenRows unseen) {
  const double t = static_cast<double>(rule.update);
  const T b1 = static_cast<T>(rule.beta1), b2 = static_cast<T>(rule.beta2);
  const T rest1 = static_cast<T>(1 - rule.beta1), rest2 = static_cast<T>(1 - rule.beta2);
  const T rate = static_cast<T>(rule.rate / (1 - std::pow(rule.beta1, t)));
  const T root = static_cast<T>(1 / std::sqrt(1 - std::pow(rule.beta2, t)));
  const T eps = static_cast<T>(rule.eps);
  int64_t next = 0;  // index of the first id that is not below the row
  for (int64_t row = 0; row < rows.rows; ++row) {
    while (gradient.ids && next < gradient.count && gradient.ids[next] < row) ++next;
    const bool seen = !gradient.ids || (next < gradient.count && gradient.ids[next] == row);
    if (!seen && unseen == UnseenRows::kKeep) continue;
    const int64_t gradient_row = gradient.compact ? (seen ? next : -1) : row;
    for (int64_t k = 0; k < rows.width; ++k) {
      const int64_t i = row * rows.width + k;
      const T g = gradient_row < 0 ? T(0) : gradient.values[gradient_row * rows.width + k];
      const T f = rows.multiplier ? rows.multiplier[i] : T(1);
      rows.first[i] = b1 * rows.first[i] + rest1 * g;
      rows.second[i] = b2 * rows.second[i] + rest2 * g * g;
      rows.value[i] -= rate * f * rows.first[i] / (std::sqrt(rows.second[i]) * root + eps);
    }
  }
}

template void adam_reference(const AdamRule&, const AdamRows<double>&, const AdamGradient<double>&,
                             UnseenRows);
template void adam_reference(const AdamRule&, const AdamRows<float>&, const AdamGradient<float>&,
                             UnseenRows);

}  // namespace covary::compute
