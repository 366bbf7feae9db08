// The page of the viewer, built from web/ into web/dist and kept inside the program.
#pragma once

#include <string>

namespace covary::serve {

// Text of web/dist/NAME: index.html, viewer.js, viewer.css.
const std::string& page_file(const std::string& name);

// One file that opens from disk: script, style and `scene` (bytes of encode_splats, gzip, base64) inside.
// facts: what /api/scene would say, JSON.
std::string whole_page(const std::string& facts, const std::string& scene_base64);

}  // namespace covary::serve
