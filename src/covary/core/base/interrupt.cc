#include "covary/core/base/interrupt.h"

#include <csignal>

namespace covary {
namespace {

volatile std::sig_atomic_t g_signal = 0;
int g_guards = 0;
struct sigaction g_old_int, g_old_term;

extern "C" void covary_on_signal(int signal) {
  if (g_signal != 0) {  // asked twice: leave at once, as if there were no handler
    struct sigaction plain{};
    plain.sa_handler = SIG_DFL;
    sigaction(signal, &plain, nullptr);
    raise(signal);
    return;
  }
  g_signal = signal;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  if (g_guards++ > 0) return;
  g_signal = 0;
  struct sigaction action{};
  action.sa_handler = covary_on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &g_old_int);
  sigaction(SIGTERM, &action, &g_old_term);
}

InterruptGuard::~InterruptGuard() {
  if (--g_guards > 0) return;
  sigaction(SIGINT, &g_old_int, nullptr);
  sigaction(SIGTERM, &g_old_term, nullptr);
}

int interrupted() { return g_signal == 0 ? 0 : 128 + g_signal; }

}  // namespace covary
