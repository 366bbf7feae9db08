// Axes of a world by three letters: where x, y and z point. Files of splats differ in nothing more.
//
//   "rdf"   x right, y down, z forward: photogrammetry, the 3DGS .ply, and ours
//   "rub"   x right, y up, z back: OpenGL, .spz
//   "luf"   x left, y up, z forward: glTF
//   Eigen::Matrix3d turn = turn_of_axes("rub", "rdf");      // v in rdf = turn * v in rub
//
// Letters: l r (left, right), d u (down, up), b f (back, forward), in any order, in either case.
#pragma once

#include <string>

#include <Eigen/Core>

namespace covary::scene {

constexpr const char* kOurAxes = "rdf";

// Three letters that name three directions at right angles.
bool are_axes(const std::string& text);

// Error(kUsage) naming `option` for what are no axes, and where one is the mirror image of the other:
// a mirrored scene is another scene.
Eigen::Matrix3d turn_of_axes(const std::string& from, const std::string& to,
                             const std::string& option = "axes");

}  // namespace covary::scene
