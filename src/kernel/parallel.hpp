// Tasks on threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace smalti {

// Runs work(thread, task) for all tasks on `threads` threads; the first exception is passed on.
inline void parallel(int32_t threads, int64_t tasks, const std::function<void(int32_t, int64_t)>& work) {
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex guard;
  auto loop = [&](int32_t thread) {
    try {
      for (int64_t task; (task = next.fetch_add(1)) < tasks;) work(thread, task);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(guard);
      if (!failure) failure = std::current_exception();
      next.store(tasks);
    }
  };
  std::vector<std::thread> pool;
  try {
    for (int32_t t = 1; t < threads && t < tasks; ++t) pool.emplace_back(loop, t);
  } catch (const std::system_error&) {
    // The system gives no more threads: those there are do all the work.
  }
  loop(0);
  for (auto& t : pool) t.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace smalti
