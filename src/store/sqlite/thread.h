#pragma once

#include <pthread.h>
#include <signal.h>

#include <thread>
#include <utility>

namespace godwit::store::sqlite {

// A named thread that takes no signals: those belong to the program's loops. `name`: at most 15
// bytes.
template <class F>
std::thread startThread(const char* name, F f) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(f));
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace godwit::store::sqlite
