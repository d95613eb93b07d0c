// Sixteen lanes with AVX-512 and its integer dot product (VNNI).
#include <immintrin.h>

#include <cstdint>

#define SMALTI_TARGET avx512

namespace smalti::avx512 {
constexpr int kLanes = 16;
typedef int32_t Int __attribute__((vector_size(64)));
inline __attribute__((always_inline)) Int dot2(Int sum, Int a, Int b) { return (Int)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b); }
inline __attribute__((always_inline)) bool any(Int mask) { return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0; }
}  // namespace smalti::avx512

#include "walk.hpp"

namespace smalti {
extern const Target target_avx512;
const Target target_avx512{"avx512", avx512::kLanes, avx512::prepare, avx512::sweep, avx512::score_whole};
}  // namespace smalti
