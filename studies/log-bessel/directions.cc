// Bar 4 of log-bessel: von Mises-Fisher fits from 2 to 65,536 dimensions.
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/image.h"
#include "covary/core/linalg/blas.h"
#include "covary/stat/mixture/von_mises_fisher.h"
#include "covary/stat/mixture/von_mises_fisher_mixture.h"
#include "studies/log-bessel/bars.h"
#include "studies/log-bessel/oracle.h"
#include "studies/shared/peers.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

// kappa from the exact mean resultant length, rounded to a double.
double recovered(StudyContext&) {
  double worst = 0;
  for (const int64_t d : {3, 128, 2048, 8192, 32768, 65536}) {
    for (double share = 1e-3; share < 3; share *= 1.3) {
      const double kappa = share * static_cast<double>(d);
      const auto length = static_cast<double>(exact_ratio(0.5 * static_cast<double>(d) - 1, kappa));
      worst = std::max(worst, std::fabs(mixture::concentration(d, length) - kappa) / kappa);
    }
  }
  return worst;
}

// Every `each`-th picture of an archive of JPEG files, flattened: [n, 3072], values in [0, 1].
at::Tensor pictures(const std::filesystem::path& archive, int64_t each) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile_s*)> file(gzopen(archive.c_str(), "rb"), gzclose);
  if (!file) throw Error(ExitCode::kData, "cannot be read", archive);
  std::vector<double> values;
  std::vector<uint8_t> bytes;
  char header[512];
  int64_t index = 0, rows = 0;
  while (gzread(file.get(), header, 512) == 512 && header[0] != 0) {
    const auto size =
        static_cast<size_t>(std::strtoull(std::string(header + 124, 11).c_str(), nullptr, 8));
    if (size > (1 << 24)) throw Error(ExitCode::kData, "holds a file of over 16 MB", archive);
    bytes.resize((size + 511) / 512 * 512);
    if (gzread(file.get(), bytes.data(), static_cast<unsigned>(bytes.size())) !=
        static_cast<int>(bytes.size()))
      throw Error(ExitCode::kData, "is cut short", archive);
    const std::string name(header, strnlen(header, 100));
    if (!name.ends_with(".jpg") || index++ % each != 0) continue;
    const data::Image8 image = data::decode_image({bytes.data(), size}, name);
    if (image.pixels.size() != 3072) continue;
    for (const uint8_t p : image.pixels) values.push_back(p / 255.0);
    ++rows;
  }
  at::Tensor x = at::empty({rows, 3072}, at::kDouble);
  std::copy(values.begin(), values.end(), x.data_ptr<double>());
  return x;
}

// Projected by a Gaussian matrix to d columns; the fit normalises.
at::Tensor features(const at::Tensor& pixels, int64_t d, uint64_t seed) {
  const at::Tensor& x = pixels;
  const int64_t n = x.size(0), p = x.size(1);
  at::Tensor projection = at::empty({d, p}, at::kDouble), y = at::empty({n, d}, at::kDouble);
  const Random random(seed, stream_of("projection", static_cast<uint64_t>(d)));
  constexpr int64_t kStrip = 256;
  parallel_for((d + kStrip - 1) / kStrip, 1, [&](int64_t begin, int64_t end) {
    const linalg::OneBlasThread one;
    for (int64_t strip = begin; strip < end; ++strip) {
      const int64_t first = strip * kStrip, count = std::min(kStrip, d - first);
      double* g = projection.data_ptr<double>() + first * p;
      for (int64_t i = 0; i < count * p / 4; ++i) {
        const auto four = random.normal4(static_cast<uint64_t>(first * p / 4 + i));
        std::copy(four.begin(), four.end(), g + 4 * i);
      }
      linalg::gemm(false, true, n, count, p, 1, x.data_ptr<double>(), p, g, p, 0,
                   y.data_ptr<double>() + first, d);
    }
  });
  // A black picture has no direction.
  const at::Tensor norm = y.norm(2, 1);
  return y.index_select(0, at::nonzero(norm > 0).view({-1}));
}

struct RealFit {
  int64_t d = 0;
  mixture::VonMisesFisherFit one;
  double grid_gap =
      0;  // best of 200 grid kappas less ours, nats, relative to the likelihood's size
};

const std::vector<RealFit>& real_fits(StudyContext& c) {
  return c.shared<std::vector<RealFit>>("cifar10", [&] {
    const at::Tensor pixels = pictures(c.data("cifar10") / "test.tar.gz", c.smoke() ? 30 : 3);
    std::vector<RealFit> fits;
    eval::Table table{.name = "von Mises-Fisher fits of CIFAR-10 test pictures, projected",
                      .columns = {"dimensions", "rows", "R", "kappa", "its standard error",
                                  "Newton steps", "log-likelihood"},
                      .rows = {}};
    const std::vector<int64_t> dimensions =
        c.smoke() ? std::vector<int64_t>{2048} : std::vector<int64_t>{2048, 8192, 32768};
    for (const int64_t d : dimensions) {
      RealFit f{.d = d, .one = {}};
      const at::Tensor x = features(pixels, d, c.seed());
      f.one = mixture::fit_von_mises_fisher(x, {}, {.normalise = true});
      const auto n = static_cast<double>(x.size(0));
      double best = -INFINITY;
      for (int i = 0; i < 200; ++i) {
        const double kappa = f.one.model.kappa * std::pow(10, (i - 99.5) / 50);
        best =
            std::max(best, n * (mixture::log_peak_density(d, kappa) + kappa * (f.one.length - 1)));
      }
      f.grid_gap = (best - f.one.log_likelihood) / std::fabs(f.one.log_likelihood);
      table.rows.push_back({d, x.size(0), f.one.length, f.one.model.kappa, f.one.kappa_error,
                            f.one.newton_steps, f.one.log_likelihood});
      fits.push_back(f);
    }
    c.table(table);
    return fits;
  });
}

// Wrong labels of two clusters of unequal spread on the circle, summed over seeds.
struct LabelErrors {
  double mixture = 0, cosine = 0, seeds = 0;
};

const LabelErrors& label_errors(StudyContext& c) {
  return c.shared<LabelErrors>("labels", [&] {
    mixture::VonMisesFisherMixture truth;
    truth.set_parameters(at::ones({2}, at::kDouble),
                         at::tensor({-0.251, -0.968, 0.399, 0.917}, at::kDouble).view({2, 2}),
                         at::tensor({8.0, 2.0}, at::kDouble));
    LabelErrors e;
    e.seeds = 50;
    for (int64_t i = 0; i < 50; ++i) {
      const uint64_t seed = c.seed() + static_cast<uint64_t>(i);
      const at::Tensor x = at::cat(
          {truth.parts()[0].sample(100, 2 * seed), truth.parts()[1].sample(100, 2 * seed + 1)});
      const at::Tensor labels = at::arange(200, at::kLong) / 100;
      const at::Tensor told = labels.to(at::kLong);
      for (const char* assignment : {"soft", "cosine"}) {
        mixture::VonMisesFisherMixture m({.components = 2,
                                          .assignment = assignment,
                                          .starts = 5,
                                          .seed = static_cast<int64_t>(seed)});
        const auto wrong = m.fit(x).predict(x).ne(told).sum().item<int64_t>();
        (assignment == std::string("soft") ? e.mixture : e.cosine) +=
            static_cast<double>(std::min(wrong, 200 - wrong));
      }
    }
    return e;
  });
}

BarResult labels(StudyContext& c) {
  const LabelErrors& e = label_errors(c);
  BarResult r;
  r.baseline = Quantity{
      .name = "spherical k-means", .value = e.cosine / (200 * e.seeds), .unit = "1", .n = 50};
  r.ours = Quantity{.value = e.mixture / (200 * e.seeds), .unit = "1", .n = 50};
  r.bound = {.text = "ours < baseline", .left = e.mixture, .op = "<", .right = e.cosine};
  return r;
}

// A mixture at the dimension of a text corpus, where others report NaN.
double text_dimension(StudyContext& c) {
  const int64_t d = 43256, n = c.smoke() ? 60 : 400;
  mixture::VonMisesFisherMixture truth;
  const at::Tensor centres =
      mixture::VonMisesFisher{at::eye(1, d, at::kDouble)[0], 0}.sample(3, c.seed());
  truth.set_parameters(at::ones({3}, at::kDouble), centres, at::full({3}, 30000.0, at::kDouble));
  at::Tensor told;
  const at::Tensor x = truth.sample(n, static_cast<int64_t>(c.seed()), told);
  mixture::VonMisesFisherMixture m({.components = 3, .starts = 3});
  m.fit(x);
  const at::Tensor found = m.predict(x);
  const auto list = [](const at::Tensor& t) {
    return std::vector<int64_t>(t.data_ptr<int64_t>(), t.data_ptr<int64_t>() + t.numel());
  };
  const bool finite =
      m.kappas().isfinite().all().item<bool>() && m.score_samples(x).isfinite().all().item<bool>();
  return finite ? 1 - mixture::adjusted_rand_index(list(found), list(told)) : NAN;
}

// A fit that is not finite is a failure; so is one of ours below a finite one of SciPy's.
BarResult beside_scipy(StudyContext& c) {
  const auto lines = peer_lines(c, "bessel.py", this_program() + " --json --only directions");
  eval::Table table{.name = "von Mises-Fisher fits of 200 rows beside SciPy's",
                    .columns = {"dimensions", "SciPy: log-density", "ours", "SciPy: CPU s",
                                "ours, with the program's start"},
                    .rows = {}};
  int64_t ours = 0, theirs = 0;
  for (const nlohmann::json& line : lines) {
    if (line.value("who", "") != "covary") continue;
    const auto peer = std::find_if(lines.begin(), lines.end(), [&](const nlohmann::json& other) {
      return other.value("who", "") == "SciPy" && other["dimension"] == line["dimension"];
    });
    if (peer == lines.end()) continue;
    table.rows.push_back({line["dimension"], (*peer)["log_density"], line["log_density"],
                          (*peer)["cpu"], line["cpu"]});
    const bool finite = line["log_density"].is_number();
    const bool peer_finite = (*peer)["log_density"].is_number();
    theirs += !peer_finite;
    if (!finite) {
      ++ours;
    } else if (peer_finite) {
      const auto own = line["log_density"].get<double>(),
                 other = (*peer)["log_density"].get<double>();
      ours += own < other - 1e-9 * std::abs(other);
    }
  }
  if (table.rows.empty()) c.skip("the script printed no pair of fits");
  c.table(table);
  BarResult r;
  r.baseline =
      Quantity{.name = "SciPy, not finite", .value = static_cast<double>(theirs), .unit = "fits"};
  r.ours = Quantity{.value = static_cast<double>(ours), .unit = "fits"};
  r.bound = {.text = "ours == 0", .left = r.ours->value, .op = "<=", .right = 0};
  return r;
}

}  // namespace

std::vector<Bar> bessel_direction_bars() {
  return {
      at_most("4", "a", "kappa from the exact mean resultant length, 3 to 65,536 dimensions",
              "relative error", 1e-10, recovered),
      at_most("4", "b", "Newton steps on CIFAR-10 test pictures in 2,048, 8,192, 32,768 dimensions",
              "steps", 9,
              [](StudyContext& c) {
                double most = 0;
                for (const RealFit& f : real_fits(c))
                  most = std::max(most, static_cast<double>(f.one.newton_steps));
                return most;
              }),
      at_most("4", "c", "the same: likelihood of the best of 200 kappas less ours, of its size",
              "relative difference", 1e-14,
              [](StudyContext& c) {
                double most = -INFINITY;
                for (const RealFit& f : real_fits(c)) most = std::max(most, f.grid_gap);
                return most;
              }),
      {.id = "4",
       .part = "d",
       .title = "wrong labels of two clusters of unequal spread on the circle, 50 seeds",
       .metric = "share of labels",
       .unit = "1",
       .bound = "ours < baseline",
       .smoke = true,
       .desk = true,
       .measure = labels},
      at_most("4", "e", "a mixture in 43,256 dimensions: 1 - adjusted Rand index", "1 - index",
              1e-9, text_dimension),
      {.id = "4",
       .part = "f",
       .title = "beside SciPy's vonmises_fisher on the same rows, 3 to 65,536 dimensions: mean "
                "log-density of the fit",
       .metric = "fits that are lower, or not finite",
       .unit = "fits",
       .bound = "ours == 0",
       .desk = true,
       .measure = beside_scipy}};
}

}  // namespace covary::studies
