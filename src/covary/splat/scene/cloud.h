// A cloud of Gaussians in memory, in the parameters that training uses and files store.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace covary::scene {

struct Cloud {
  at::Tensor means;      // [N,3] world
  at::Tensor quats;      // [N,4] wxyz, not necessarily unit
  at::Tensor scales;     // [N,3] log of the standard deviation, world
  at::Tensor opacities;  // [N] logit
  at::Tensor sh0;        // [N,1,3] degree-0 SH coefficient; colour = 0.5 + C0 * sh0
  at::Tensor shN;        // [N,K-1,3] coefficient-major, K = (degree+1)^2
  std::map<std::string, at::Tensor>
      columns;               // extra columns [N] or [N,k] of any type, kept through edits
  bool antialiased = false;  // trained with the screen-space filter (render it that way)
  // What one of them looks like on the screen: a name in compute/rasterize/footprints.h. "generalized"
  // reads the column "shape" [N]: the exponent, 2 = Gaussian.
  std::string footprint = "gaussian";
  bool flat = false;        // discs of 2DGS: the third scale says nothing
  std::string source_axes;  // of the file that it was read from, "rub", where these were turned to
                            // ours (axes.h); empty = as they were
  std::vector<uint8_t>
      spz_records;  // extension records of a .spz as they stood there, kept for another

  int64_t size() const { return means.defined() ? means.size(0) : 0; }
  int sh_degree() const;  // 0..4 from shN
  void check() const;     // shapes agree; Error(kFailed) naming the tensor
};

// Whole rows by index (int64) or mask (bool) [N]; columns included.
Cloud select(const Cloud& cloud, const at::Tensor& rows);

// A cloud without rows that has the degree, columns, flags and axes of this one.
Cloud cloud_like(const Cloud& cloud);
// Rows first .. first + count - 1, as views of the same memory.
Cloud slice(const Cloud& cloud, int64_t first, int64_t count);

// What a file or a viewer that knows Gaussians alone can hold of it: pixel integrals become the
// screen-space filter, shaped primitives Gaussians of the same variance and, as far as an opacity below 1
// goes, the same total. A cloud of Gaussians is left as it is.
Cloud as_gaussians(const Cloud& cloud);

// The same in double, for what the reference draws. Columns are kept as they are.
Cloud in_double(const Cloud& cloud);

}  // namespace covary::scene
