// `covary view`: where the page is served.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::cli {

struct ViewOptions {
  std::string host = "127.0.0.1";  // address to listen at; others than loopback ask for a token
  int64_t port = 7007;             // the next free one when it is taken; 0 = any
  bool open = false;               // open a browser
  std::string token;  // that the page's address must hold; auto = a random one; empty = none
  bool remote =
      false;  // pages show pictures that this program draws, also where they could draw themselves
  bool follow = true;  // of a run: take its scene and log again when they change

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::cli
