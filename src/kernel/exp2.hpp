// 2^r = 1 + r h(r) on [0, 1] in float32 (Chebyshev interpolation of h), highest power first.
// smalti/engine/arithmetic.py evaluates the same polynomial in the same order.
#pragma once

namespace smalti {

constexpr int kExp2Terms = 7;
constexpr float kExp2[kExp2Terms] = {
    0x1.b49554p-13f, 0x1.4cb7b0p-10f, 0x1.3c487cp-7f, 0x1.c69f98p-5f, 0x1.ebfc3ep-3f, 0x1.62e430p-1f, 1.0f};

}  // namespace smalti
