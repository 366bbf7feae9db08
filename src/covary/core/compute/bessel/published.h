// The method of Plesner, Sorensen and Hauberg 2024 (arXiv 2409.08729) as they publish it, for comparison with bessel.h: a
// table of regions in (v, x), Hankel's expansion with 3 or 20 terms (mu), Debye's with 4 to 13 (U), and a series for I or
// Rothwell's integral by Simpson's rule for K where neither serves. Plain doubles, one value at a time.
//
//   double theirs = log_bessel_published({BesselKind::kK, true}, 1023, 1000);
//   double mended = log_bessel_published({BesselKind::kK, true}, 1388, 3.1e5, {.guarded = true});
//
// guarded keeps Hankel's expansion to v^2 < 0.002 x (3 terms) and v^2 < 2 x (20 terms) where the table reaches beyond, at
// large x: unguarded it errs by 1e-8 there. Order v >= 0, argument x > 0; elsewhere NaN.
#pragma once

#include "covary/core/compute/bessel/bessel.h"

namespace covary::compute {

struct PublishedOptions {
  bool guarded = false;
};

enum class PublishedRegion { kMu3, kMu20, kU4, kU6, kU9, kU13, kFallback };

PublishedRegion published_region(double order, double argument,
                                 const PublishedOptions& published = {});

double log_bessel_published(const BesselOptions& options, double order, double argument,
                            const PublishedOptions& published = {});

}  // namespace covary::compute
