// Sixteen lanes with AVX-512 and its integer dot product (VNNI).
#include <immintrin.h>

#include <cstdint>

#define SMALTI_TARGET avx512

namespace smalti::avx512 {
constexpr int kLanes = 16;
typedef int32_t Int __attribute__((vector_size(64)));
inline __attribute__((always_inline)) Int dot2(Int sum, Int a, Int b) { return (Int)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b); }
inline __attribute__((always_inline)) bool any(Int mask) { return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0; }

// The lanes of a vector above a bar, counted, and packed without gaps into memory (what follows up to a vector's length is overwritten).
typedef __mmask16 Hits;
inline __attribute__((always_inline)) Hits above(Int v, int32_t bar) { return _mm512_cmpgt_epi32_mask((__m512i)v, _mm512_set1_epi32(bar)); }
inline __attribute__((always_inline)) bool any(Hits hits) { return hits != 0; }
inline __attribute__((always_inline)) int count(Hits hits) { return __builtin_popcount(hits); }
inline __attribute__((always_inline)) void pack(Hits hits, Int v, int32_t* to) { _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(hits, (__m512i)v)); }

// Sums of quarters of four vectors, and of halves of the quarters. (With a mask of all lanes, since GCC 12 warns of the operand that the
// forms without one leave open.)
inline __attribute__((always_inline)) __m512i quarters(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_maskz_unpacklo_epi32(0xffff, a, b), _mm512_maskz_unpackhi_epi32(0xffff, a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_maskz_unpacklo_epi32(0xffff, c, d), _mm512_maskz_unpackhi_epi32(0xffff, c, d));
  return _mm512_add_epi32(_mm512_maskz_unpacklo_epi64(0xff, ab, cd), _mm512_maskz_unpackhi_epi64(0xff, ab, cd));
}
inline __attribute__((always_inline)) __m512i halves(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_maskz_shuffle_i32x4(0xffff, a, b, 0x88), _mm512_maskz_shuffle_i32x4(0xffff, a, b, 0xdd));
}

// The sum over the lanes of each of n vectors; writes a whole number of vectors.
template <int n>
inline __attribute__((always_inline)) void totals(const Int* v, int32_t* to) {
  auto at = [&](int i) { return i < n ? (__m512i)v[i] : _mm512_setzero_si512(); };
  auto four = [&](int i) { return i < n ? quarters(at(i), at(i + 1), at(i + 2), at(i + 3)) : _mm512_setzero_si512(); };
  for (int i = 0; i < n; i += 16) _mm512_store_si512(to + i, halves(halves(four(i), four(i + 4)), halves(four(i + 8), four(i + 12))));
}
}  // namespace smalti::avx512

#include "walk.hpp"

namespace smalti {
extern const Target target_avx512;
const Target target_avx512{"avx512", avx512::kLanes, avx512::prepare, avx512::sweep, avx512::score_whole};
}  // namespace smalti
