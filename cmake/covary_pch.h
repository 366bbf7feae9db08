// The one precompiled header: external headers only, so that it can live outside the clone and serve
// every clone whose flags agree (see cmake/pch.cmake). No header of ours, no pragma.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include <Eigen/Core>
#include <Eigen/Geometry>
#include <nlohmann/json.hpp>
