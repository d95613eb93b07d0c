// What the checks of pictures and of text share.
#pragma once

#include <cstdint>

class Random {  // xorshift64
 public:
  uint32_t operator()() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return uint32_t(state_ >> 16);
  }

 private:
  uint64_t state_ = 88172645463325252ull;
};

class Checksum {  // FNV-1a on 64-bit words
 public:
  void add(int64_t v) { value = (value ^ uint64_t(v)) * 1099511628211ull; }
  uint64_t value = 1469598103934665603ull;
};

// Adds the results of an instruction set on problems of text.
void check_text(const char* target, Checksum& sum);
