#include "covary/splat/scene/axes.h"

#include <cstring>

#include <Eigen/LU>

#include "covary/core/base/error.h"

namespace covary::scene {
namespace {

// Direction of a letter in (right, down, forward); 0 for another letter.
Eigen::Vector3d direction_of(char letter) {
  static constexpr const char* kPlus = "rdfRDF";
  static constexpr const char* kMinus = "lubLUB";
  Eigen::Vector3d v = Eigen::Vector3d::Zero();
  if (letter == 0) return v;
  if (const char* p = std::strchr(kPlus, letter)) v[(p - kPlus) % 3] = 1;
  if (const char* p = std::strchr(kMinus, letter)) v[(p - kMinus) % 3] = -1;
  return v;
}

// Columns: where x, y and z point.
Eigen::Matrix3d frame_of(const std::string& text) {
  Eigen::Matrix3d m = Eigen::Matrix3d::Zero();
  if (text.size() == 3)
    for (int k = 0; k < 3; ++k) m.col(k) = direction_of(text[static_cast<size_t>(k)]);
  return m;
}

}  // namespace

bool are_axes(const std::string& text) {
  return std::abs(std::abs(frame_of(text).determinant()) - 1) < 1e-9;
}

Eigen::Matrix3d turn_of_axes(const std::string& from, const std::string& to,
                             const std::string& option) {
  for (const std::string& text : {from, to})
    if (!are_axes(text))
      throw Error(
          ExitCode::kUsage, "'" + text + "' are no axes", option,
          "write three letters that say where x, y and z point: rdf (right, down, forward), "
          "rub, luf");
  const Eigen::Matrix3d turn = frame_of(to).transpose() * frame_of(from);
  if (turn.determinant() < 0)
    throw Error(ExitCode::kUsage, from + " is the mirror image of " + to, option,
                "one letter is the opposite of what it should be");
  return turn;
}

}  // namespace covary::scene
