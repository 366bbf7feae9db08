// Meshes to files that other programs open: binary .ply, .obj, .glb.
//
//   write_mesh("out/chair.glb", mesh);
//
// Normals and colours go along where the mesh has them: in a .ply as nx ny nz and red green blue (bytes), in an .obj as vn and as
// three numbers after a vertex's place, in a .glb as NORMAL and COLOR_0 (normalised bytes, made linear as glTF wants them).
// Coordinates are written as they are: what points up is the caller's to say. Atomic.
// Error(kUsage) for another extension, Error(kData) for a mesh that fails its check or a file that cannot be written.
// Sources: Greg Turk 1994 (.ply); Wavefront's .obj; Khronos, "glTF 2.0 Specification".
#pragma once

#include <filesystem>

#include "covary/core/geometry/mesh.h"

namespace covary::geometry {

bool can_write_mesh(const std::filesystem::path& path);  // by extension
void write_mesh(const std::filesystem::path& path, const Mesh& mesh);

}  // namespace covary::geometry
