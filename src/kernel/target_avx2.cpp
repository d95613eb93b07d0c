// Eight lanes with AVX2.
#include <immintrin.h>

#include <cstdint>

#define SMALTI_TARGET avx2

namespace smalti::avx2 {
constexpr int kLanes = 8;
typedef int32_t Int __attribute__((vector_size(32)));
inline __attribute__((always_inline)) Int dot2(Int sum, Int a, Int b) { return sum + (Int)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
inline __attribute__((always_inline)) bool any(Int mask) { return !_mm256_testz_si256((__m256i)mask, (__m256i)mask); }

// For each set of lanes the order that packs them: one byte for a lane.
struct Orders {
  uint64_t of[256] = {};
  constexpr Orders() {
    for (int set = 0; set < 256; ++set)
      for (int lane = 0, at = 0; lane < 8; ++lane)
        if (set >> lane & 1) of[set] |= uint64_t(lane) << (8 * at++);
  }
};
alignas(64) constexpr Orders orders;

// The lanes of a vector above a bar, counted, and packed without gaps into memory (what follows up to a vector's length is overwritten).
typedef int Hits;
inline __attribute__((always_inline)) Hits above(Int v, int32_t bar) { return _mm256_movemask_ps((__m256)_mm256_cmpgt_epi32((__m256i)v, _mm256_set1_epi32(bar))); }
inline __attribute__((always_inline)) bool any(Hits hits) { return hits != 0; }
inline __attribute__((always_inline)) int count(Hits hits) { return __builtin_popcount(hits); }
inline __attribute__((always_inline)) void pack(Hits hits, Int v, int32_t* to) {
  const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(orders.of + hits)));
  _mm256_storeu_si256((__m256i*)to, _mm256_permutevar8x32_epi32((__m256i)v, order));
}

// Sums of quarters of four vectors.
inline __attribute__((always_inline)) __m256i quarters(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
  const __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
  return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
}

// The sum over the lanes of each of n vectors; writes a whole number of vectors.
template <int n>
inline __attribute__((always_inline)) void totals(const Int* v, int32_t* to) {
  auto at = [&](int i) { return i < n ? (__m256i)v[i] : _mm256_setzero_si256(); };
  auto four = [&](int i) { return i < n ? quarters(at(i), at(i + 1), at(i + 2), at(i + 3)) : _mm256_setzero_si256(); };
  for (int i = 0; i < n; i += 8) {
    const __m256i a = four(i), b = four(i + 4);
    const __m256i sum = _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
    _mm256_store_si256((__m256i*)(to + i), sum);
  }
}
}  // namespace smalti::avx2

#include "walk.hpp"

namespace smalti {
extern const Target target_avx2;
const Target target_avx2{"avx2", avx2::kLanes, avx2::prepare, avx2::sweep, avx2::score_whole};
}  // namespace smalti
