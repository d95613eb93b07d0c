// Four lanes in portable vector code: what any processor can run.
#include <cstdint>

#define SMALTI_TARGET plain

namespace smalti::plain {
constexpr int kLanes = 4;
typedef int32_t Int __attribute__((vector_size(16)));
inline __attribute__((always_inline)) Int dot2(Int sum, Int a, Int b) {
  return sum + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
}
inline __attribute__((always_inline)) bool any(Int mask) { return (mask[0] | mask[1] | mask[2] | mask[3]) != 0; }

// The lanes of a vector above a bar. They are not packed: the whole vector goes into memory.
typedef Int Hits;
inline __attribute__((always_inline)) Hits above(Int v, int32_t bar) { return v > bar; }
inline __attribute__((always_inline)) int count(Hits) { return kLanes; }
inline __attribute__((always_inline)) void pack(Hits, Int v, int32_t* to) { *reinterpret_cast<Int*>(to) = v; }

// The sum over the lanes of each of n vectors.
template <int n>
inline __attribute__((always_inline)) void totals(const Int* v, int32_t* to) {
  for (int i = 0; i < n; ++i) to[i] = v[i][0] + v[i][1] + v[i][2] + v[i][3];
}
}  // namespace smalti::plain

#include "walk.hpp"

namespace smalti {
extern const Target target_plain;
const Target target_plain{"plain", plain::kLanes, plain::prepare, plain::sweep, plain::score_whole};
}  // namespace smalti
