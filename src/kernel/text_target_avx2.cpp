// Thirty-two bytes with AVX2.
#include <immintrin.h>

#include <cstdint>

#define SMALTI_TARGET avx2

namespace smalti::avx2 {
constexpr int kBytes = 32;
typedef uint8_t Bytes __attribute__((vector_size(32)));
inline __attribute__((always_inline)) uint64_t bits(Bytes mask) { return uint32_t(_mm256_movemask_epi8((__m256i)mask)); }
}  // namespace smalti::avx2

#include "text_walk.hpp"
#include "text_pattern_walk.hpp"

namespace smalti {
extern const TextTarget text_target_avx2;
const TextTarget text_target_avx2{"avx2", avx2::weigh, avx2::list, avx2::count, avx2::descend, avx2::patterns};
}  // namespace smalti
