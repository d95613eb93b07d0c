// Four lanes with NEON.
#include <arm_neon.h>

#include <cstdint>

#define SMALTI_TARGET neon

namespace smalti::neon {
constexpr int kLanes = 4;
typedef int32_t Int __attribute__((vector_size(16)));
inline __attribute__((always_inline)) Int dot2(Int sum, Int a, Int b) {
  const int16x8_t x = vreinterpretq_s16_s32((int32x4_t)a), y = vreinterpretq_s16_s32((int32x4_t)b);
  const int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y)), high = vmull_high_s16(x, y);
  return sum + (Int)vpaddq_s32(low, high);
}
inline __attribute__((always_inline)) bool any(Int mask) { return vmaxvq_u32((uint32x4_t)mask) != 0; }

// The lanes of a vector above a bar. They are not packed: the whole vector goes into memory.
typedef Int Hits;
inline __attribute__((always_inline)) Hits above(Int v, int32_t bar) { return v > bar; }
inline __attribute__((always_inline)) int count(Hits) { return kLanes; }
inline __attribute__((always_inline)) void pack(Hits, Int v, int32_t* to) { *reinterpret_cast<Int*>(to) = v; }

// The sum over the lanes of each of n vectors.
template <int n>
inline __attribute__((always_inline)) void totals(const Int* v, int32_t* to) {
  for (int i = 0; i < n; ++i) to[i] = vaddvq_s32((int32x4_t)v[i]);
}
}  // namespace smalti::neon

#include "walk.hpp"

namespace smalti {
extern const Target target_neon;
const Target target_neon{"neon", neon::kLanes, neon::prepare, neon::sweep, neon::score_whole};
}  // namespace smalti
