#include "covary/splat/serve/page.h"

#include <map>

#include "covary/core/base/error.h"

namespace covary::serve {
namespace {

// Generated at configuration from web/dist: {name, bytes} pairs.
const unsigned char kIndexHtml[] = {
#include "viewer_index_html.inc"
};
const unsigned char kViewerJs[] = {
#include "viewer_viewer_js.inc"
};
const unsigned char kViewerCss[] = {
#include "viewer_viewer_css.inc"
};

template <size_t N>
std::string text_of(const unsigned char (&bytes)[N]) {
  return std::string(reinterpret_cast<const char*>(bytes), N);
}

void replace_once(std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at == std::string::npos)
    throw Error(ExitCode::kFailed, "lacks " + from, "web/dist/index.html",
                "build the page again: cd web && npm run build");
  text.replace(at, from.size(), to);
}

// Text of a script that stands inside HTML: no "</script" and no "<!--" may be in it.
std::string inside_script(std::string text) {
  for (const char* end : {"</script", "<!--"})
    for (size_t at = text.find(end); at != std::string::npos; at = text.find(end, at + 4))
      text.replace(at, 1, "\\x3c");
  return text;
}

// JSON inside HTML: "<" only occurs within its strings.
std::string inside_json(std::string text) {
  for (size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at + 6))
    text.replace(at, 1, "\\u003c");
  return text;
}

}  // namespace

const std::string& page_file(const std::string& name) {
  static const std::map<std::string, std::string> files = {{"index.html", text_of(kIndexHtml)},
                                                           {"viewer.js", text_of(kViewerJs)},
                                                           {"viewer.css", text_of(kViewerCss)}};
  return files.at(name);
}

std::string whole_page(const std::string& facts, const std::string& scene_base64) {
  std::string html = page_file("index.html");
  replace_once(html, "<link rel=\"stylesheet\" href=\"viewer.css\">",
               "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
               "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src blob: data:; "
               "connect-src data:; worker-src blob:\">\n<style>" +
                   page_file("viewer.css") + "</style>");
  replace_once(html, "<script type=\"module\" src=\"viewer.js\"></script>",
               "<script type=\"application/json\" id=\"scene-facts\">" + inside_json(facts) +
                   "</script>\n<script type=\"application/octet-stream\" id=\"scene-bytes\">" +
                   scene_base64 + "</script>\n<script type=\"module\">" +
                   inside_script(page_file("viewer.js")) + "</script>");
  return html;
}

}  // namespace covary::serve
