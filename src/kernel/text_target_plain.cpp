// Sixteen bytes in portable vector code: what any processor can run.
#include <cstdint>

#define SMALTI_TARGET plain

namespace smalti::plain {
constexpr int kBytes = 16;
typedef uint8_t Bytes __attribute__((vector_size(16)));
inline __attribute__((always_inline)) uint64_t bits(Bytes mask) {
  typedef uint64_t Halves __attribute__((vector_size(16)));
  const Halves halves = (Halves)mask;
  uint64_t set = 0;
  if (halves[0] | halves[1])
    for (int i = 0; i < 16; ++i) set |= uint64_t(mask[i] & 1) << i;
  return set;
}
}  // namespace smalti::plain

#include "text_walk.hpp"
#include "text_pattern_walk.hpp"

namespace smalti {
extern const TextTarget text_target_plain;
const TextTarget text_target_plain{"plain", plain::weigh, plain::list, plain::count, plain::descend, plain::patterns};
}  // namespace smalti
