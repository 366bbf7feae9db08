// What the model files of all processes have in common. Within stat/process only.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "covary/core/data/model.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/row_noise.h"

namespace covary::stat {

nlohmann::json finite_or_null(double value);
void put_tensor(data::Model* model, const std::string& name, const at::Tensor& t);
// Of this shape (-1: any size), or Error(kData) naming the field.
at::Tensor tensor_of(const data::Model& model, const std::string& name,
                     const std::vector<int64_t>& shape);

// The arrays "noise" and "weights" of rows, where there are some.
void put_noise(data::Model* model, const RowNoise& noise);
RowNoise noise_of(const data::Model& model, int64_t n);

// The fields "kernel" (its text) and "parameters" (with bounds, ties and priors).
nlohmann::json parameters_json(const Kernel& kernel);
Kernel kernel_of(const data::Model& model, int64_t dims);

}  // namespace covary::stat
