#include "covary/stat/mixture/collapsed_mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/cholesky.h"

namespace covary::mixture {
namespace {

// log Gamma_d(a) but for d (d - 1) / 4 log pi, which cancels in ratios.
double log_multigamma(double a, int64_t d) {
  double sum = 0;
  for (int64_t i = 0; i < d; ++i) sum += std::lgamma(a - static_cast<double>(i) / 2);
  return sum;
}

// |L^-1 v|^2; work [d].
double squared_length(const double* factor, const double* v, int64_t d, double* work) {
  double sum = 0;
  for (int64_t a = 0; a < d; ++a) {
    double t = v[a];
    for (int64_t b = 0; b < a; ++b) t -= factor[a * d + b] * work[b];
    work[a] = t / factor[a * d + a];
    sum += work[a] * work[a];
  }
  return sum;
}

}  // namespace

CollapsedMixture::CollapsedMixture(const at::Tensor& x, const NormalWishart& prior,
                                   const CollapsedLaw& law)
    : n_(x.size(0)), d_(x.size(1)), law_(law), beta_(prior.beta), nu_(prior.nu) {
  const double dd = static_cast<double>(d_);
  scale_.reserve(static_cast<size_t>(d_));
  for (const double v : prior.inverse_scale) {
    scale_.push_back(std::sqrt(v));
    log_jacobian_ -= 0.5 * std::log(v);
  }
  origin_ = prior.mean;
  x_ = scaled(x);
  for (int64_t j = 0; j <= n_; ++j) {
    const double count = static_cast<double>(j), beta = beta_ + count, nu = nu_ + count;
    evidence_.push_back(-count * dd / 2 * std::log(std::numbers::pi) + log_multigamma(nu / 2, d_) -
                        log_multigamma(nu_ / 2, d_) + dd / 2 * std::log(beta_ / beta));
    predictive_.push_back(std::lgamma((nu + 1) / 2) - std::lgamma((nu + 1 - dd) / 2) -
                          dd / 2 * std::log(std::numbers::pi * (beta + 1) / beta));
    log_one_.push_back(std::lgamma(1 + count));
    log_gamma_.push_back(std::lgamma(law.concentration + count));
    log_both_.push_back(std::lgamma(1 + law.concentration + count));
  }
  for (int64_t i = 0; i < n_; ++i) {
    double square = 0;
    for (int64_t j = 0; j < d_; ++j)
      square += x_[static_cast<size_t>(i * d_ + j)] * x_[static_cast<size_t>(i * d_ + j)];
    prior_log_.push_back(predictive_[0] - (nu_ + 1) / 2 * std::log1p(beta_ / (beta_ + 1) * square));
  }
}

std::vector<double> CollapsedMixture::scaled(const at::Tensor& x) const {
  const double* p = x.data_ptr<double>();
  std::vector<double> out(p, p + x.numel());
  for (size_t e = 0; e < out.size(); ++e) {
    const size_t j = e % static_cast<size_t>(d_);
    out[e] = (out[e] - origin_[j]) / scale_[j];
  }
  return out;
}

double CollapsedMixture::log_sticks(int64_t own, int64_t after) const {
  // log B(1, gamma) = lgamma(1) + lgamma(gamma) - lgamma(1 + gamma).
  return log_one_[static_cast<size_t>(own)] + log_gamma_[static_cast<size_t>(after)] -
         log_both_[static_cast<size_t>(own + after)] - (log_gamma_[0] - log_both_[0]);
}

CollapsedChain::CollapsedChain(const CollapsedMixture& model, uint64_t seed, uint64_t stream)
    : m_(model), random_(seed, stream) {
  const size_t k = static_cast<size_t>(m_.law_.components), d = static_cast<size_t>(m_.d_);
  slot_of_row_.assign(static_cast<size_t>(m_.n_), -1);
  slot_at_.resize(k);
  std::iota(slot_at_.begin(), slot_at_.end(), int64_t{0});
  counts_.assign(k + 2, 0);
  means_.assign((k + 2) * d, 0.0);
  factors_.assign((k + 2) * d * d, 0.0);
  log_determinants_.assign(k + 2, 0.0);
  members_.reserve(static_cast<size_t>(m_.n_));
  to_second_.reserve(static_cast<size_t>(m_.n_));
  work_.resize(4 * d);
  joint_.resize(k + 1);
  places_.resize(k);
  kept_.resize(d + d * d + 1);
  rebuild_all();
}

void CollapsedChain::finish(int64_t slot) {
  const double* l = factor(slot);
  double sum = 0;
  for (int64_t a = 0; a < m_.d_; ++a) sum += std::log(l[a * m_.d_ + a]);
  log_determinants_[static_cast<size_t>(slot)] = 2 * sum;
}

void CollapsedChain::rebuild_all() {
  const int64_t d = m_.d_;
  std::fill(means_.begin(), means_.end(), 0.0);
  for (int64_t i = 0; i < m_.n_; ++i) {
    const int64_t slot = slot_of_row_[static_cast<size_t>(i)];
    if (slot < 0) continue;
    for (int64_t j = 0; j < d; ++j)
      means_[static_cast<size_t>(slot * d + j)] += m_.x_[static_cast<size_t>(i * d + j)];
  }
  const int64_t k = m_.law_.components;
  for (int64_t slot = 0; slot < k; ++slot) {
    const double count = static_cast<double>(counts_[static_cast<size_t>(slot)]);
    double* l = factor(slot);
    std::fill_n(l, d * d, 0.0);
    for (int64_t a = 0; a < d; ++a) {
      // The rows' own mean for now.
      if (count > 0) means_[static_cast<size_t>(slot * d + a)] /= count;
      for (int64_t b = 0; b <= a; ++b)
        l[a * d + b] = m_.beta_ * count / (m_.beta_ + count) *
                       means_[static_cast<size_t>(slot * d + a)] *
                       means_[static_cast<size_t>(slot * d + b)];
      l[a * d + a] += 1;
    }
  }
  for (int64_t i = 0; i < m_.n_; ++i) {
    const int64_t slot = slot_of_row_[static_cast<size_t>(i)];
    if (slot < 0) continue;
    double* l = factor(slot);
    for (int64_t j = 0; j < d; ++j)
      work_[static_cast<size_t>(j)] =
          m_.x_[static_cast<size_t>(i * d + j)] - means_[static_cast<size_t>(slot * d + j)];
    for (int64_t a = 0; a < d; ++a)
      for (int64_t b = 0; b <= a; ++b)
        l[a * d + b] += work_[static_cast<size_t>(a)] * work_[static_cast<size_t>(b)];
  }
  for (int64_t slot = 0; slot < k; ++slot) {
    const double count = static_cast<double>(counts_[static_cast<size_t>(slot)]);
    double* l = factor(slot);
    // The scale is at least the identity: no pivot can fail.
    for (int64_t a = 0; a < d; ++a) {
      for (int64_t b = 0; b <= a; ++b) {
        double v = l[a * d + b];
        for (int64_t c = 0; c < b; ++c) v -= l[a * d + c] * l[b * d + c];
        l[a * d + b] = a == b ? std::sqrt(std::max(v, 1e-300)) : v / l[b * d + b];
      }
      means_[static_cast<size_t>(slot * d + a)] *= count / (m_.beta_ + count);
    }
    finish(slot);
  }
}

void CollapsedChain::clear(int64_t slot) {
  const int64_t d = m_.d_;
  counts_[static_cast<size_t>(slot)] = 0;
  std::fill_n(means_.data() + slot * d, d, 0.0);
  double* l = factor(slot);
  std::fill_n(l, d * d, 0.0);
  for (int64_t a = 0; a < d; ++a) l[a * d + a] = 1;
  log_determinants_[static_cast<size_t>(slot)] = 0;
}

void CollapsedChain::copy(int64_t from, int64_t to) {
  const int64_t d = m_.d_;
  counts_[static_cast<size_t>(to)] = counts_[static_cast<size_t>(from)];
  std::copy_n(means_.data() + from * d, d, means_.data() + to * d);
  std::copy_n(factor(from), d * d, factor(to));
  log_determinants_[static_cast<size_t>(to)] = log_determinants_[static_cast<size_t>(from)];
}

void CollapsedChain::add(int64_t slot, const double* x) {
  const int64_t d = m_.d_;
  const double beta = m_.beta_ + static_cast<double>(counts_[static_cast<size_t>(slot)]);
  const double root = std::sqrt(beta / (beta + 1));
  double* mean = means_.data() + slot * d;
  for (int64_t j = 0; j < d; ++j) {
    const double apart = x[j] - mean[j];
    work_[static_cast<size_t>(j)] = root * apart;
    mean[j] += apart / (beta + 1);
  }
  linalg::rank_one_update({factor(slot), d, d}, work_.data(), work_.data() + d);
  ++counts_[static_cast<size_t>(slot)];
  finish(slot);
}

void CollapsedChain::remove(int64_t slot, int64_t row) {
  const int64_t d = m_.d_;
  const double* x = m_.x_.data() + row * d;
  slot_of_row_[static_cast<size_t>(row)] = -1;
  const double beta = m_.beta_ + static_cast<double>(--counts_[static_cast<size_t>(slot)]);
  double* mean = means_.data() + slot * d;
  if (counts_[static_cast<size_t>(slot)] == 0) {
    clear(slot);
    return;
  }
  const double root = std::sqrt(beta / (beta + 1));
  for (int64_t j = 0; j < d; ++j) {
    const double before = mean[j] + (mean[j] - x[j]) / beta;
    mean[j] = before;
    work_[static_cast<size_t>(j)] = root * (x[j] - before);
  }
  if (linalg::rank_one_downdate({factor(slot), d, d}, work_.data(), work_.data() + d) >= 0) {
    rebuild_all();  // rounding has spoilt the factor
    return;
  }
  finish(slot);
}

double CollapsedChain::log_density(int64_t slot, const double* x, double* work) const {
  const int64_t d = m_.d_;
  const size_t count = static_cast<size_t>(counts_[static_cast<size_t>(slot)]);
  const double beta = m_.beta_ + static_cast<double>(count);
  const double nu = m_.nu_ + static_cast<double>(count);
  const double* mean = means_.data() + slot * d;
  for (int64_t j = 0; j < d; ++j) work[j] = x[j] - mean[j];
  const double square = squared_length(factor(slot), work, d, work + d);
  return m_.predictive_[count] - 0.5 * log_determinants_[static_cast<size_t>(slot)] -
         (nu + 1) / 2 * std::log1p(beta / (beta + 1) * square);
}

void CollapsedChain::places_of_next(std::span<double> out) const {
  const int64_t k = m_.law_.components;
  const double gamma = m_.law_.concentration;
  double after = 0;
  for (int64_t c = 0; c < k; ++c) after += static_cast<double>(counts_[static_cast<size_t>(c)]);
  if (!m_.law_.process) {
    for (int64_t p = 0; p < k; ++p)
      out[static_cast<size_t>(p)] =
          (gamma +
           static_cast<double>(counts_[static_cast<size_t>(slot_at_[static_cast<size_t>(p)])])) /
          (gamma * static_cast<double>(k) + after);
    return;
  }
  double left = 1;
  for (int64_t p = 0; p + 1 < k; ++p) {
    const double own =
        static_cast<double>(counts_[static_cast<size_t>(slot_at_[static_cast<size_t>(p)])]);
    const double whole = 1 + gamma + after;
    after -= own;
    out[static_cast<size_t>(p)] = left * (1 + own) / whole;
    left *= (gamma + after) / whole;
  }
  out[static_cast<size_t>(k - 1)] = left;
}

// What the row's label may be, by place, times exp(-top): joint_. Their sum; top is put behind them.
double CollapsedChain::weigh_places(int64_t row) {
  const int64_t k = m_.law_.components;
  const double* x = m_.x_.data() + row * m_.d_;
  places_of_next(places_);
  double top = -std::numeric_limits<double>::infinity();
  for (int64_t p = 0; p < k; ++p) {
    const int64_t slot = slot_at_[static_cast<size_t>(p)];
    joint_[static_cast<size_t>(p)] = counts_[static_cast<size_t>(slot)] == 0
                                         ? m_.prior_log_[static_cast<size_t>(row)]
                                         : log_density(slot, x, work_.data());
    top = std::max(top, joint_[static_cast<size_t>(p)]);
  }
  double total = 0;
  for (int64_t p = 0; p < k; ++p) {
    double& j = joint_[static_cast<size_t>(p)];
    j = places_[static_cast<size_t>(p)] * std::exp(j - top);
    total += j;
  }
  joint_[static_cast<size_t>(k)] = top;
  return total;
}

int64_t CollapsedChain::draw_place(double total) {
  double left = random_.uniform(draw_++) * total;
  int64_t place = 0;
  for (; place + 1 < m_.law_.components; ++place) {
    left -= joint_[static_cast<size_t>(place)];
    if (left < 0) break;
  }
  return place;
}

void CollapsedChain::take(const CollapsedChain& other) {
  taken_ = other.taken_;
  slot_of_row_ = other.slot_of_row_;
  slot_at_ = other.slot_at_;
  counts_ = other.counts_;
  means_ = other.means_;
  factors_ = other.factors_;
  log_determinants_ = other.log_determinants_;
}

double CollapsedChain::append() {
  const double total = weigh_places(taken_);
  const int64_t slot = slot_at_[static_cast<size_t>(draw_place(total))];
  slot_of_row_[static_cast<size_t>(taken_)] = static_cast<int32_t>(slot);
  add(slot, m_.x_.data() + taken_ * m_.d_);
  ++taken_;
  return joint_.back() + std::log(total);
}

void CollapsedChain::set_labels(std::span<const int32_t> labels) {
  std::iota(slot_at_.begin(), slot_at_.end(), int64_t{0});
  std::fill(counts_.begin(), counts_.end(), 0);
  taken_ = m_.n_;
  std::copy(labels.begin(), labels.end(), slot_of_row_.begin());
  for (const int32_t slot : labels) ++counts_[static_cast<size_t>(slot)];
  rebuild_all();
}

void CollapsedChain::sweep() {
  const int64_t d = m_.d_;
  rebuild_all();
  for (int64_t i = 0; i < taken_; ++i) {
    const int64_t old = slot_of_row_[static_cast<size_t>(i)];
    // What the component is like with this row, should the row stay.
    std::copy_n(means_.data() + old * d, d, kept_.data());
    std::copy_n(factor(old), d * d, kept_.data() + d);
    kept_[static_cast<size_t>(d + d * d)] = log_determinants_[static_cast<size_t>(old)];
    remove(old, i);
    const int64_t slot = slot_at_[static_cast<size_t>(draw_place(weigh_places(i)))];
    slot_of_row_[static_cast<size_t>(i)] = static_cast<int32_t>(slot);
    if (slot == old) {
      std::copy_n(kept_.data(), d, means_.data() + old * d);
      std::copy_n(kept_.data() + d, d * d, factor(old));
      log_determinants_[static_cast<size_t>(old)] = kept_[static_cast<size_t>(d + d * d)];
      ++counts_[static_cast<size_t>(old)];
    } else {
      add(slot, m_.x_.data() + i * d);
    }
  }
  for (int e = 0; e < kExchanges; ++e) split_or_merge();
  if (m_.law_.process) exchange_sticks();
}

void CollapsedChain::exchange_sticks() {
  const size_t k = slot_at_.size();
  int64_t after = taken_;
  for (size_t p = 0; p + 1 < k; ++p) {
    const int64_t first = counts_[static_cast<size_t>(slot_at_[p])];
    const int64_t second = counts_[static_cast<size_t>(slot_at_[p + 1])];
    const int64_t rest = after - first - second;
    // The last stick has no Beta of its own.
    const bool last = p + 2 == k;
    const double now =
        m_.log_sticks(first, second + rest) + (last ? 0 : m_.log_sticks(second, rest));
    const double then =
        m_.log_sticks(second, first + rest) + (last ? 0 : m_.log_sticks(first, rest));
    if (std::log(random_.uniform(draw_++)) < then - now) std::swap(slot_at_[p], slot_at_[p + 1]);
    after -= counts_[static_cast<size_t>(slot_at_[p])];
  }
}

double CollapsedChain::log_prior() const {
  double sum = 0;
  if (!m_.law_.process) {
    const double a = m_.law_.concentration, ka = a * static_cast<double>(m_.law_.components);
    for (const int64_t slot : slot_at_)
      sum +=
          m_.log_gamma_[static_cast<size_t>(counts_[static_cast<size_t>(slot)])] - m_.log_gamma_[0];
    return sum + std::lgamma(ka) - std::lgamma(ka + static_cast<double>(taken_));
  }
  int64_t after = taken_;
  for (size_t p = 0; p + 1 < slot_at_.size(); ++p) {
    const int64_t own = counts_[static_cast<size_t>(slot_at_[p])];
    after -= own;
    sum += m_.log_sticks(own, after);
  }
  return sum;
}

double CollapsedChain::log_evidence(int64_t slot) const {
  const size_t count = static_cast<size_t>(counts_[static_cast<size_t>(slot)]);
  return m_.evidence_[count] -
         (m_.nu_ + static_cast<double>(count)) / 2 * log_determinants_[static_cast<size_t>(slot)];
}

double CollapsedChain::log_likelihood() const {
  double sum = static_cast<double>(taken_) * m_.log_jacobian_;
  for (const int64_t slot : slot_at_) sum += log_evidence(slot);
  return sum;
}

// The members go to the halves that i and j begin, by what they are like, or, forced, to where they
// are now: those of the slot `forced` to j's. The log of the probability of that allocation.
double CollapsedChain::allocate(int64_t i, int64_t j, int64_t forced) {
  const int64_t d = m_.d_, first = m_.law_.components, second = first + 1;
  clear(first);
  clear(second);
  add(first, m_.x_.data() + i * d);
  add(second, m_.x_.data() + j * d);
  to_second_.clear();
  double log_q = 0;
  for (const int64_t row : members_) {
    const double* x = m_.x_.data() + row * d;
    const double odds = std::log(static_cast<double>(counts_[static_cast<size_t>(second)]) /
                                 static_cast<double>(counts_[static_cast<size_t>(first)])) +
                        log_density(second, x, work_.data()) - log_density(first, x, work_.data());
    // log of the probability of the second half, and of the first.
    const double log_second =
        odds > 0 ? -std::log1p(std::exp(-odds)) : odds - std::log1p(std::exp(odds));
    const bool to_second = forced >= 0 ? slot_of_row_[static_cast<size_t>(row)] == forced
                                       : std::log(random_.uniform(draw_++)) < log_second;
    log_q += to_second ? log_second : log_second - odds;
    to_second_.push_back(to_second);
    add(to_second ? second : first, x);
  }
  return log_q;
}

void CollapsedChain::split_or_merge() {
  const int64_t n = taken_, d = m_.d_, k = m_.law_.components;
  if (n < 2 || k < 2) return;
  const int64_t i = static_cast<int64_t>(random_.below(static_cast<uint64_t>(n), draw_++));
  int64_t j = static_cast<int64_t>(random_.below(static_cast<uint64_t>(n - 1), draw_++));
  j += j >= i;
  const int64_t own = slot_of_row_[static_cast<size_t>(i)];
  const int64_t other = slot_of_row_[static_cast<size_t>(j)];
  int64_t empty = 0;
  for (const int64_t slot : slot_at_) empty += counts_[static_cast<size_t>(slot)] == 0;
  members_.clear();
  for (int64_t row = 0; row < n; ++row) {
    const int64_t slot = slot_of_row_[static_cast<size_t>(row)];
    if (row != i && row != j && (slot == own || slot == other)) members_.push_back(row);
  }
  const double prior = log_prior();
  const size_t at = static_cast<size_t>(own);
  if (own == other) {
    if (empty == 0) return;
    // One of the components without rows, for j's half.
    uint64_t which = random_.below(static_cast<uint64_t>(empty), draw_++);
    int64_t fresh = 0;
    for (const int64_t slot : slot_at_) {
      if (counts_[static_cast<size_t>(slot)] != 0 || which-- != 0) continue;
      fresh = slot;
      break;
    }
    const double log_q = allocate(i, j, -1);
    const double gain = log_evidence(k) + log_evidence(k + 1) - log_evidence(own);
    const int64_t whole = counts_[at];
    counts_[at] = counts_[static_cast<size_t>(k)];
    counts_[static_cast<size_t>(fresh)] = counts_[static_cast<size_t>(k + 1)];
    const double ratio = gain + log_prior() - prior - log_q + std::log(empty);
    if (std::log(random_.uniform(draw_++)) >= ratio) {
      counts_[at] = whole;
      counts_[static_cast<size_t>(fresh)] = 0;
      return;
    }
    copy(k, own);
    copy(k + 1, fresh);
    slot_of_row_[static_cast<size_t>(j)] = static_cast<int32_t>(fresh);
    for (size_t e = 0; e < members_.size(); ++e)
      if (to_second_[e])
        slot_of_row_[static_cast<size_t>(members_[e])] = static_cast<int32_t>(fresh);
    return;
  }
  const double log_q = allocate(i, j, other);
  // Both in one, in the first half's place.
  copy(own, k);
  add(k, m_.x_.data() + j * d);
  for (const int64_t row : members_)
    if (slot_of_row_[static_cast<size_t>(row)] == other) add(k, m_.x_.data() + row * d);
  const double gain = log_evidence(k) - log_evidence(own) - log_evidence(other);
  const int64_t before[2] = {counts_[at], counts_[static_cast<size_t>(other)]};
  counts_[at] = counts_[static_cast<size_t>(k)];
  counts_[static_cast<size_t>(other)] = 0;
  const double ratio = gain + log_prior() - prior + log_q - std::log(empty + 1);
  if (std::log(random_.uniform(draw_++)) >= ratio) {
    counts_[at] = before[0];
    counts_[static_cast<size_t>(other)] = before[1];
    return;
  }
  copy(k, own);
  clear(other);
  slot_of_row_[static_cast<size_t>(j)] = static_cast<int32_t>(own);
  for (const int64_t row : members_)
    slot_of_row_[static_cast<size_t>(row)] = static_cast<int32_t>(own);
}

std::vector<int32_t> CollapsedChain::labels() const {
  std::vector<int32_t> place_of(slot_at_.size());
  for (size_t p = 0; p < slot_at_.size(); ++p)
    place_of[static_cast<size_t>(slot_at_[p])] = static_cast<int32_t>(p);
  std::vector<int32_t> out;
  out.reserve(slot_of_row_.size());
  for (const int32_t slot : slot_of_row_) out.push_back(place_of[static_cast<size_t>(slot)]);
  return out;
}

std::vector<int64_t> CollapsedChain::row_counts() const {
  std::vector<int64_t> out;
  for (const int64_t slot : slot_at_) out.push_back(counts_[static_cast<size_t>(slot)]);
  return out;
}

void CollapsedChain::log_predictive(std::span<const double> points, std::span<double> out) const {
  const int64_t d = m_.d_, k = m_.law_.components;
  std::vector<double> places(static_cast<size_t>(k));
  places_of_next(places);
  parallel_for(static_cast<int64_t>(out.size()), 64, [&](int64_t begin, int64_t end) {
    std::vector<double> joint(static_cast<size_t>(k)), work(static_cast<size_t>(2 * d));
    for (int64_t i = begin; i < end; ++i) {
      double top = -std::numeric_limits<double>::infinity();
      for (int64_t p = 0; p < k; ++p) {
        double& j = joint[static_cast<size_t>(p)];
        j = std::log(places[static_cast<size_t>(p)]) +
            log_density(slot_at_[static_cast<size_t>(p)], points.data() + i * d, work.data());
        top = std::max(top, j);
      }
      double sum = 0;
      for (const double j : joint) sum += std::exp(j - top);
      out[static_cast<size_t>(i)] = top + std::log(sum);
    }
  });
}

}  // namespace covary::mixture
