// What raw meshes need before others can use them: islands dropped, holes closed, fewer triangles.
//
//   keep_components(mesh, 0.01);          // parts of less than a hundredth of the largest's area go
//   close_holes(mesh);                    // every edge has two triangles: a body, for collisions
//   simplify(mesh, 20000);                // at most so many triangles, where the surface hardly moves
//
// Vertices that no triangle uses are dropped; normals are computed anew where the mesh had some; colours go along. uv coordinates
// are dropped by simplify(). Vertices that touch without being the same vertex count as apart (merge_vertices()).
// The same mesh gives the same bits. Error(kData) for a mesh that fails its check.
// Sources: Garland and Heckbert 1997 (quadric errors); the test for collapses: Dey et al. 1999 (link condition).
#pragma once

#include <cstdint>

#include "covary/core/geometry/mesh.h"

namespace covary::geometry {

// Vertices at the same place become one.
void merge_vertices(Mesh& mesh);

// Of parts joined by edges or vertices: those with at least this share of the largest's area. Returns how many were dropped.
int64_t keep_components(Mesh& mesh, double least_share);

// Closes each ring of open edges by triangles to its middle. Returns how many there were. Where more than two triangles meet in an
// edge, that edge stays as it is.
int64_t close_holes(Mesh& mesh);

// Collapses edges, the cheapest first, until `triangles` are left or none can go without folding the surface or changing
// how it hangs together. Open borders stay in place.
void simplify(Mesh& mesh, int64_t triangles);

// Edges with one triangle, and with more than two.
struct EdgeFacts {
  int64_t open = 0, crowded = 0;
  bool closed() const { return open == 0 && crowded == 0; }
};
EdgeFacts edge_facts(const Mesh& mesh);

}  // namespace covary::geometry
