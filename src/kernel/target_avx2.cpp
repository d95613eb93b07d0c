// Eight lanes with AVX2.
#include <immintrin.h>

#include <cstdint>

#define SMALTI_TARGET avx2

namespace smalti::avx2 {
constexpr int kLanes = 8;
typedef int32_t Int __attribute__((vector_size(32)));
inline __attribute__((always_inline)) Int dot2(Int sum, Int a, Int b) { return sum + (Int)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
inline __attribute__((always_inline)) bool any(Int mask) { return !_mm256_testz_si256((__m256i)mask, (__m256i)mask); }
}  // namespace smalti::avx2

#include "walk.hpp"

namespace smalti {
extern const Target target_avx2;
const Target target_avx2{"avx2", avx2::kLanes, avx2::prepare, avx2::sweep, avx2::score_whole};
}  // namespace smalti
