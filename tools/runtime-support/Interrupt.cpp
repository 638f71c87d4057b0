#include "tools/runtime-support/Interrupt.h"

#include <csignal>

namespace kerf::tools {
namespace {

kerf_context *running = nullptr;

void onInterrupt(int) {
  kerf_context_cancel(running);
  std::signal(SIGINT, SIG_DFL);
}

} // namespace

CancelOnInterrupt::CancelOnInterrupt(const Context &context) {
  running = context.get();
  std::signal(SIGINT, onInterrupt);
}

CancelOnInterrupt::~CancelOnInterrupt() { std::signal(SIGINT, SIG_DFL); }

} // namespace kerf::tools
