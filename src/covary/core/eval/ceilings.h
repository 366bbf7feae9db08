// The machine's own ceilings, measured in the same run as what is compared with them: a kernel is
// then a share of what this processor gives today, not of a data sheet. Two virtual cores may be
// one core's siblings, so the gain of threads is measured too.
//
//   const Ceilings c = measure_ceilings();              // about a second
//   c.two.fma / c.one.fma                   // what a second thread gives to pure arithmetic
//
// SIMD by Highway's run-time dispatch (the widest target of the machine); float; each figure is the
// best of several.
#pragma once

#include <string>

namespace covary::eval {

struct CeilingRates {
  double fma =
      0;  // fused multiply-adds a second (one lane is one), independent chains in registers
  double exp = 0;   // float exponentials a second, in registers
  double copy = 0;  // bytes read plus bytes written a second, buffers beyond every cache
};

struct Ceilings {
  CeilingRates one, two;  // with 1 and with 2 threads (two = one where there is one core)
  std::string simd;       // Highway's name of the target: "AVX2", "AVX3_DL", ...
};

// budget_s: seconds to spend in all, about.
Ceilings measure_ceilings(double budget_s = 1.0);

// Rates with the given number of threads.
CeilingRates measure_rates(int thread_count, double budget_s = 0.5);

std::string simd_name();  // the target that run-time dispatch picks here

}  // namespace covary::eval
