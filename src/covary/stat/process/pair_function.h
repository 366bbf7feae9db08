// Covariance functions given pair by pair: leaves of a kernel without a profile of distance, those
// that come with the library and those of a user.
//
//   define_kernel("sinc", {{.name = "width", .role = ParameterRole::kLengthscale}},
//                 [](auto x, auto y, auto p) {             // columns of two rows, parameters
//                   const double u = std::numbers::pi * (x[0] - y[0]) / p[0];
//                   return u == 0 ? 1 : std::sin(u) / u;
//                 });
//   Kernel k = Kernel::parse("const*sinc(0.5,dims=2) + white", 3);
//
// A function must be symmetric and positive definite: that is its author's duty. It is called from
// several threads. Coordinates are those of the leaf's columns, as they came. Leaves of this kind
// cost a virtual call a pair (5 to 100 ns); those with a profile run several pairs at a time.
// The library's own: see leaf_definitions() and the table in kernel.h.
// Sources: Cho and Saul 2009 (relu, step); Williams 1998 (erf); Lee et al. 2018 (depth); Bonilla et
// al. 2008 (index); Foreman-Mackey et al. 2017, eq. 20 to 23 (sho); Wahba 1978 (integrated).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "covary/stat/process/kernel_parameter.h"

namespace covary::stat {

class PairFunction {
 public:
  virtual ~PairFunction() = default;
  // k(x, y): [columns of the leaf] each; p in the order of parameters().
  virtual double value(const double* x, const double* y, const double* p) const = 0;
  // slopes[i] = dk / dp_i, as many as parameters; and dk / dx, as many as columns. Where a derivative
  // does not exist it is 0. As they stand: central differences, good to about 1e-9.
  virtual void parameter_slopes(const double* x, const double* y, const double* p,
                                double* slopes) const;
  virtual void input_slopes(const double* x, const double* y, const double* p,
                            double* slopes) const;
  // Throws Error(kData) when a point is no argument of the function.
  virtual void check(const double* /*x*/, const double* /*p*/) const {}

  const std::vector<KernelParameter>& parameters() const { return parameters_; }
  int64_t columns() const { return columns_; }

 protected:
  PairFunction(std::vector<KernelParameter> parameters, int64_t columns)
      : parameters_(std::move(parameters)), columns_(columns) {}

 private:
  std::vector<KernelParameter> parameters_;
  int64_t columns_;
};

// How a leaf's text becomes a function.
struct LeafSettings {
  int64_t columns = 1;
  bool ard = false;
  std::map<std::string, int64_t> whole;  // whole-number arguments, complete
};
struct WholeArgument {
  std::string name;
  int64_t value = 1, lowest = 1, highest = 1;  // value 0: must be given
};
struct LeafDefinition {
  bool one_column = false;  // takes exactly one
  bool takes_ard = false;
  std::vector<WholeArgument> whole = {};
  std::vector<std::string> positional = {};  // parameters whose values may stand without a name
  std::vector<std::string> lists = {};       // and those that may not
  std::function<std::shared_ptr<const PairFunction>(const LeafSettings&)> make = {};
};

// By name: the library's and those defined so far. Null when there is none.
std::shared_ptr<const LeafDefinition> leaf_definition(const std::string& name);
std::vector<std::string> defined_leaves();

using PairValue = std::function<double(std::span<const double> x, std::span<const double> y,
                                       std::span<const double> p)>;
// Adds a leaf for the rest of the program's life. Parameters need name, role and perhaps value;
// names are letters. Throws Error(kUsage) for a name that is taken or is no word. A model file names
// the leaf: who reads it must have defined it.
void define_kernel(const std::string& name, std::vector<KernelParameter> parameters,
                   PairValue value);

}  // namespace covary::stat
