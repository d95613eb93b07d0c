// Sixty-four bytes with AVX-512.
#include <immintrin.h>

#include <cstdint>

#define SMALTI_TARGET avx512

namespace smalti::avx512 {
constexpr int kBytes = 64;
typedef uint8_t Bytes __attribute__((vector_size(64)));
inline __attribute__((always_inline)) uint64_t bits(Bytes mask) { return _mm512_movepi8_mask((__m512i)mask); }
}  // namespace smalti::avx512

#include "text_walk.hpp"
#include "text_pattern_walk.hpp"

namespace smalti {
extern const TextTarget text_target_avx512;
const TextTarget text_target_avx512{"avx512", avx512::weigh, avx512::list, avx512::count, avx512::descend, avx512::patterns};
}  // namespace smalti
