// Sixteen bytes with NEON.
#include <arm_neon.h>

#include <cstdint>

#define SMALTI_TARGET neon

namespace smalti::neon {
constexpr int kBytes = 16;
typedef uint8_t Bytes __attribute__((vector_size(16)));
inline __attribute__((always_inline)) uint64_t bits(Bytes mask) {
  const uint8x16_t bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t set = vandq_u8((uint8x16_t)mask, bit);
  return uint64_t(vaddv_u8(vget_low_u8(set))) | uint64_t(vaddv_u8(vget_high_u8(set))) << 8;
}
}  // namespace smalti::neon

#include "text_walk.hpp"
#include "text_pattern_walk.hpp"

namespace smalti {
extern const TextTarget text_target_neon;
const TextTarget text_target_neon{"neon", neon::weigh, neon::list, neon::count, neon::descend, neon::patterns};
}  // namespace smalti
