#include "covary/cli/view_options.h"

#include "covary/core/base/error.h"

namespace covary::cli {

void ViewOptions::describe(OptionList& o) {
  o.add("port", &port, "to listen at; the next free one when it is taken, 0: any")
      .range(0, 65535)
      .common();
  o.add("open", &open, "open a browser").common();
  o.add("host", &host, "address to listen at; others than 127.0.0.1 ask for a token").common();
  o.add("token", &token, "that the page's address must hold; auto: a random one")
      .suggestions({"auto", "WORD"})
      .common();
  o.add("remote", &remote, "draw here and send pictures; without it the page draws, where it can")
      .common();
  o.add("follow", &follow, "of a run: take its scene and log again when they change");
}

void ViewOptions::check() const {
  if (host.empty()) throw Error(ExitCode::kUsage, "no address", "--host", "write --host 127.0.0.1");
}

}  // namespace covary::cli
