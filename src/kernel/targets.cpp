#include "targets.hpp"

namespace smalti {

extern const Target target_plain;
#ifdef SMALTI_X86
extern const Target target_avx2;
extern const Target target_avx512;
#endif
#ifdef SMALTI_NEON
extern const Target target_neon;
#endif

std::vector<const Target*> usable_targets() {
  std::vector<const Target*> found;
#ifdef SMALTI_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
    found.push_back(&target_avx512);
  if (__builtin_cpu_supports("avx2")) found.push_back(&target_avx2);
#endif
#ifdef SMALTI_NEON
  found.push_back(&target_neon);
#endif
  found.push_back(&target_plain);
  return found;
}

}  // namespace smalti
