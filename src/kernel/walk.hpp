// The walk over displacements, written once and compiled for each instruction set.
//
// For one displacement between state and corpus the product X * q is needed once per pixel. Its sum over a window is kept up to date: a running
// sum down each column (one row enters, one leaves, both in one 16-bit pair product) and a running sum along the row. Several corpus items, or strips of one
// item, lie side by side in the vector lanes. A score within reach of the best so far becomes an integer weight (problem.hpp). All sums are of integers, so
// neither the order of the walk nor the number of lanes can change a result.
//
// The including file defines SMALTI_TARGET (a namespace of its own: no inline code may be shared between instruction sets), kLanes, and dot2 and any.

#include "exp2.hpp"
#include "problem.hpp"

namespace smalti::SMALTI_TARGET {

typedef int32_t I32 __attribute__((vector_size(4 * kLanes)));
typedef float F32 __attribute__((vector_size(4 * kLanes)));
typedef int64_t I64 __attribute__((vector_size(8 * kLanes)));

#define SMALTI_INLINE inline __attribute__((always_inline))

template <class Acc> struct Lanes;
template <> struct Lanes<int32_t> { typedef I32 Vec; static constexpr int32_t lowest = INT32_MIN; static constexpr int32_t highest = INT32_MAX; };
template <> struct Lanes<int64_t> { typedef I64 Vec; static constexpr int64_t lowest = INT64_MIN; static constexpr int64_t highest = INT64_MAX; };

SMALTI_INLINE I32 splat(int32_t v) { return I32{} + v; }
SMALTI_INLINE I32 widen(I32 v, int32_t) { return v; }
SMALTI_INLINE I64 widen(I32 v, int64_t) { return __builtin_convertvector(v, I64); }
SMALTI_INLINE I32 narrow(I32 v) { return v; }
SMALTI_INLINE I32 narrow(I64 v) { return __builtin_convertvector(v, I32); }
SMALTI_INLINE bool any(I64 mask) {
  int64_t r = 0;
  for (int l = 0; l < kLanes; ++l) r |= mask[l];
  return r != 0;
}

// One more row's products into a column sum: C pair products, each of which lets a row in and another out.
template <int C>
SMALTI_INLINE I32 absorb(I32 sum, const int32_t* x, const I32* q) {
  for (int c = 0; c < C; ++c) sum = dot2(sum, splat(x[c]), q[c]);
  return sum;
}
template <int C>
SMALTI_INLINE I64 absorb(I64 sum, const int32_t* x, const I32* q) {
  I32 part = {};
  for (int c = 0; c < C; ++c) part = dot2(part, splat(x[c]), q[c]);
  return sum + __builtin_convertvector(part, I64);
}

// 2^(15 + f) truncated, for the scores r above their place, f = rate * r: 15 to 30 bits.
SMALTI_INLINE I32 weights_of(F32 f) {
  const I32 n = __builtin_convertvector(f, I32);
  const F32 r = f - __builtin_convertvector(n, F32);
  F32 p = F32{} + kExp2[0];
  for (int i = 1; i < kExp2Terms; ++i) p = p * r + kExp2[i];
  const F32 scale = (F32)((n + (kSliceBits + 127)) << 23);
  const I32 w = __builtin_convertvector(p * scale, I32);
  return w < kLargestWeight ? w : splat(kLargestWeight);
}

// ------------------------------------------------------------------------------------------------------------ laying out

template <class Acc>
void lay_out(const Problem& p, const Block& b, Planes& out) {
  const Rect& r = *b.rect;
  const Corpus& k = p.corpus;
  const int h = p.half, size = 2 * h + 1, channels = k.channels;
  const int rows = r.cy1 - r.cy0 + 2 * h, cols = b.width + 2 * h;
  const int64_t row_step = int64_t(k.width) * channels;
  auto pair_at = [&](int y, int x) { return out.pairs + (int64_t(y) * cols + x) * channels * kLanes; };
  for (int l = 0; l < kLanes; ++l) {
    const int64_t item = b.first + l / b.strips;
    const int left = r.cx0 + (l % b.strips) * b.width - h;  // image column of plane column 0
    const bool there = l / b.strips < b.items;
    for (int y = 0; y < rows; ++y) {
      const int iy = r.cy0 - h + y;
      const bool inside = there && iy >= 0 && iy < k.height;
      const uint8_t* src = inside ? k.pixels + item * k.height * row_step + iy * row_step : nullptr;
      for (int x = 0; x < cols; ++x) {
        const int ix = left + x;
        const bool filled = inside && ix >= 0 && ix < k.width;
        int32_t* to = pair_at(y, x);
        for (int c = 0; c < channels; ++c) {
          const int32_t q = filled ? 2 * int32_t(src[int64_t(ix) * channels + c]) - 255 : 0;
          const int32_t above = y >= size ? pair_at(y - size, x)[c * kLanes + l] & 0xffff : 0;
          to[c * kLanes + l] = (q & 0xffff) | int32_t(uint32_t(above) << 16);
        }
      }
    }
    for (int x = 0; x < b.width; ++x) out.present[x * kLanes + l] = there && left + h + x < r.cx1 ? -1 : 0;
  }
  // Windowed sums of q^2: running down the columns in place of the first row of offsets, then along the rows.
  typedef typename Lanes<Acc>::Vec Vec;
  Vec* offsets = static_cast<Vec*>(out.offsets);
  Vec* column = offsets + int64_t(r.cy1 - r.cy0) * b.width;  // one spare row of `cols` entries
  const double eight_a = 8.0 * p.signal;
  int64_t largest = 0;
  for (int x = 0; x < cols; ++x) column[x] = Vec{};
  auto square = [&](int y, int x) {
    Vec s = {};
    for (int c = 0; c < channels; ++c) {
      const I32 q = (*reinterpret_cast<const I32*>(pair_at(y, x) + c * kLanes) << 16) >> 16;
      s += widen(q * q, Acc{});
    }
    return s;
  };
  for (int y = 0; y < rows; ++y) {
    for (int x = 0; x < cols; ++x) {
      column[x] += square(y, x);
      if (y >= size) column[x] -= square(y - size, x);
    }
    if (y < 2 * h) continue;
    Vec sum = {};
    for (int x = 0; x < cols; ++x) {
      sum += column[x];
      if (x < 2 * h) continue;
      Vec& to = offsets[int64_t(y - 2 * h) * b.width + x - 2 * h];
      for (int l = 0; l < kLanes; ++l) {
        const int64_t squares = sum[l];
        if (squares > largest) largest = squares;
        to[l] = Acc(int64_t(__builtin_rint(eight_a * double(squares))));
      }
      sum -= column[x - 2 * h];
    }
  }
  out.largest = largest;
}

// ------------------------------------------------------------------------------------------------------------------ walk

template <class Acc, int C>
struct Walk {
  typedef typename Lanes<Acc>::Vec Vec;

  const Sweep& s;
  const Rect& r;
  const int half, width, span, cols;  // span: state sites in a row
  const I32* pairs;
  const Vec* offsets;
  const I32* present;
  Vec* columns;
  I32 open;     // lanes whose item may serve this state
  bool masked;

  explicit Walk(const Sweep& sweep)
      : s(sweep), r(*sweep.block->rect), half(sweep.problem->half), width(sweep.block->width), span(r.sx1 - r.sx0),
        cols(width + 2 * half), pairs(reinterpret_cast<const I32*>(sweep.planes->pairs)),
        offsets(static_cast<const Vec*>(sweep.planes->offsets)), present(reinterpret_cast<const I32*>(sweep.planes->present)),
        columns(static_cast<Vec*>(sweep.columns)) {
    masked = sweep.exclusion->radius > 0;
    for (int l = 0; l < kLanes; ++l) {
      const int64_t item = sweep.block->first + l / sweep.block->strips;
      open[l] = item >= sweep.exclusion->item_begin && item < sweep.exclusion->item_end ? 0 : -1;
      masked |= open[l] == 0;
    }
    const int32_t* flat = sweep.planes->present;
    for (int i = 0; i < width * kLanes; ++i) masked |= flat[i] == 0;
  }

  // Lanes that may use horizontal displacement dx (strip columns) at vertical displacement dy (image rows).
  I32 allowed(int dy, int dx) const {
    const Exclusion& e = *s.exclusion;
    if (e.radius == 0 || dy - e.dy >= e.radius || e.dy - dy >= e.radius) return open;
    I32 mask = open;
    for (int l = 0; l < kLanes; ++l) {
      const int true_dx = r.cx0 + (l % s.block->strips) * width + dx - r.sx0;
      if (true_dx - e.dx < e.radius && e.dx - true_dx < e.radius) mask[l] = 0;
    }
    return mask;
  }

  // Calls emit(k, x, y, score) for each site and displacement, and done(row, first, count, dy, jy) after each row of a chunk of displacements. Lanes
  // that have no source there get the lowest score of all.
  template <class Emit, class Done>
  SMALTI_INLINE void run(Emit emit, Done done) {
    const int top = r.sy0 + s.row_begin, bottom = r.sy0 + s.row_end;
    const int dy_first = r.fixed_y ? r.cy0 - r.sy0 : r.cy0 - (bottom - 1);
    const int dy_last = r.fixed_y ? dy_first : r.cy1 - 1 - top;
    const int dx_first = r.fixed_x ? 0 : 1 - span;
    const int dx_last = r.fixed_x ? 0 : width - 1;
    for (int dy = dy_first; dy <= dy_last; ++dy) {
      const int y0 = top > r.cy0 - dy ? top : r.cy0 - dy;
      const int y1 = bottom < r.cy1 - dy ? bottom : r.cy1 - dy;
      for (int first = dx_first; first <= dx_last; first += kChunk) {
        const int count = dx_last - first + 1 < kChunk ? dx_last - first + 1 : kChunk;
        I32 allow[kChunk];
        for (int k = 0; k < count; ++k) allow[k] = allowed(dy, first + k);
        for (int y = y0; y < y1; ++y) {
          for (int k = 0; k < count; ++k) {
            const int dx = first + k;
            const int x0 = dx < 0 ? -dx : 0, x1 = span < width - dx ? span : width - dx;
            Vec* column = columns + int64_t(k) * (span + 2 * half);
            if (y == y0) {
              for (int x = x0; x < x1 + 2 * half; ++x) column[x] = Vec{};
              for (int p = y0; p < y0 + 2 * half; ++p) fill(column, p, dy, dx, x0, x1 + 2 * half);
            }
            const int32_t* state = y == y0 ? s.state->filling : s.state->rolling;
            if (masked)
              row<true>(column, y, state, dy, dx, x0, x1, k, allow[k], emit);
            else
              row<false>(column, y, state, dy, dx, x0, x1, k, allow[k], emit);
          }
          done(y - top, first, count, dy, y + dy - r.cy0);
        }
      }
    }
  }

 private:
  SMALTI_INLINE const I32* plane(int row, int dy, int dx) const { return pairs + (int64_t(row + dy - r.cy0) * cols + dx) * C; }

  SMALTI_INLINE void fill(Vec* column, int p, int dy, int dx, int x0, int x1) const {
    const int32_t* x = s.state->filling + (int64_t(p) * s.state->stride + r.sx0) * C;
    const I32* q = plane(p, dy, dx);
    for (int i = x0; i < x1; ++i) column[i] = absorb<C>(column[i], x + i * C, q + i * C);
  }

  template <bool Masked, class Emit>
  SMALTI_INLINE void row(Vec* column, int y, const int32_t* state, int dy, int dx, int x0, int x1, int k, I32 allow, Emit emit) const {
    const int reach = 2 * half;
    const int32_t* x = state + (int64_t(y + reach) * s.state->stride + r.sx0) * C;
    const I32* q = plane(y + reach, dy, dx);
    const Vec* offset = offsets + int64_t(y + dy - r.cy0) * width + dx;
    const I32* there = present + dx;
    Vec sum = {};
    for (int i = x0; i < x0 + reach; ++i) {
      const Vec t = absorb<C>(column[i], x + i * C, q + i * C);
      column[i] = t;
      sum += t;
    }
    for (int i = x0; i < x1; ++i) {
      const int e = i + reach;
      const Vec t = absorb<C>(column[e], x + e * C, q + e * C);
      column[e] = t;
      sum += t;
      Vec score = sum - offset[i];
      if constexpr (Masked) {
        const Vec use = widen(there[i] & allow, Acc{});
        score = (score & use) | (~use & Lanes<Acc>::lowest);
      }
      emit(k, i, y, score);
      sum -= column[i];
    }
  }
};

// What a site's scores are held against: `base`, the score at which its highest place begins; a score counts when above `low`, and
// moves the place when above `high`. Saturated, and all lowest where the site has no place yet.
template <class Acc>
struct Bars {
  Acc base, low, high;

  static Acc clip(__int128 v) { return v < Lanes<Acc>::lowest ? Lanes<Acc>::lowest : v > Lanes<Acc>::highest ? Lanes<Acc>::highest : Acc(v); }
  static Bars at(int64_t place, int64_t span) {
    if (place == kNoPlace) return {0, Lanes<Acc>::lowest, Lanes<Acc>::lowest};
    const __int128 base = __int128(place) * span;
    return {Acc(base), clip(base - 2 * __int128(span) - 1), clip(base + span - 1)};
  }
};

template <class Acc, int C, bool Spread>
class Summing {
  typedef typename Lanes<Acc>::Vec Vec;
  static constexpr int kQuantities = 1 + C;
  static constexpr int kPerSite = kQuantities * kSlices;
  static constexpr int kLimit = 256 / kChunk;  // chunks until a lane's 32-bit sum of 15-bit slices times q could overflow

 public:
  explicit Summing(Sweep& sweep)
      : s_(sweep), walk_(sweep), bars_(reinterpret_cast<Bars<Acc>*>(sweep.bars)), lanes_(reinterpret_cast<I32*>(sweep.lanes)),
        spreads_(reinterpret_cast<I64*>(sweep.spreads)), span_(walk_.span), rows_(sweep.row_end - sweep.row_begin) {}

  void run() {
    for (int row = 0; row < rows_; ++row)
      for (int x = 0; x < span_; ++x) bars_[row * span_ + x] = Bars<Acc>::at(s_.sums.place[site(row, x)], s_.problem->span);
    Vec* scores = static_cast<Vec*>(s_.scores);
    const int width = walk_.width, half = walk_.half;
    int chunks = 0, last_first = 0, last_dy = 0;
    walk_.run(
        [&](int k, int x, int, Vec score) { scores[k * span_ + x] = score; },
        [&](int row, int first, int count, int dy, int jy) {
          if (first != last_first || dy != last_dy) {
            last_first = first, last_dy = dy;
            if (++chunks % kLimit == 0) flush();
          }
          const int last = first + count - 1;
          const I32* centre = walk_.pairs + (int64_t(jy + half) * walk_.cols + half) * C;
          const int x_end = span_ < width - first ? span_ : width - first;
          for (int x = -last > 0 ? -last : 0; x < x_end; ++x) {
            const int k0 = -x - first > 0 ? -x - first : 0;
            const int k1 = width - x - first < count ? width - x - first : count;
            weigh(row, x, scores + x, k0, k1, centre + (x + first) * C);
          }
        });
    flush();
  }

 private:
  int64_t site(int row, int x) const { return int64_t(walk_.r.sy0 + s_.row_begin + row) * s_.width + walk_.r.sx0 + x; }

  // Adds the weights of displacements [k0, k1) at one site.
  SMALTI_INLINE void weigh(int row, int x, const Vec* scores, int k0, int k1, const I32* centre) {
    const int64_t here = int64_t(row) * span_ + x;
    Vec most = scores[k0 * span_];
    for (int k = k0 + 1; k < k1; ++k) most = scores[k * span_] > most ? scores[k * span_] : most;
    Bars<Acc>& bars = bars_[here];
    if (!any(most > bars.low)) return;
    if (any(most > bars.high)) lift(row, x, most);
    s_.touched[here] = 1;
    const Vec base = Vec{} + bars.base, low = Vec{} + bars.low;
    const Acc span = Acc(s_.problem->span);
    I32 sum[kSlices][kQuantities] = {};
    I64 wide[kSlices] = {};
    for (int k = k0; k < k1; ++k) {
      const Vec score = scores[k * span_];
      const auto hit = score > low;
      if (!any(hit)) continue;
      const Vec d = (score - base) & hit;
      const auto below = d < 0, far = d < -span;
      const F32 f = __builtin_convertvector(d + (below & span) + (far & span), F32) * s_.problem->rate;
      const I32 weight = weights_of(f) & narrow(hit);
      const I32 upper = weight >> kSliceBits, lower = weight & ((1 << kSliceBits) - 1);
      const I32 under = narrow(below), third = narrow(far), second = under & ~third;
      const I32 slice[kSlices] = {(lower & second) | (upper & third), (lower & ~under) | (upper & second), upper & ~under};
      const I32* q = centre + k * C;
      for (int j = 0; j < kSlices; ++j) {
        sum[j][0] += slice[j];
        for (int c = 0; c < C; ++c) sum[j][1 + c] = dot2(sum[j][1 + c], slice[j], q[c]);
      }
      if constexpr (Spread) {
        // An upper half stands at its own place, a lower half one place (15 bits) below it.
        const I32 above = __builtin_convertvector(f * kSpreadScale + 0.5f, I32);
        const I32 lifted = above + int32_t(kSliceBits * kSpreadScale);
        const I32 log2[kSlices] = {(lifted & second) | (above & third), (lifted & ~under) | (above & second), above};
        for (int j = 0; j < kSlices; ++j) wide[j] += __builtin_convertvector(slice[j], I64) * __builtin_convertvector(log2[j], I64);
      }
    }
    I32* to = lanes_ + here * kPerSite;
    for (int j = 0; j < kSlices; ++j)
      for (int c = 0; c < kQuantities; ++c) to[c * kSlices + j] += sum[j][c];
    if constexpr (Spread)
      for (int j = 0; j < kSlices; ++j) spreads_[here * kSlices + j] += wide[j];
  }

  // A score above the highest place: what has been summed moves down.
  __attribute__((noinline)) void lift(int row, int x, const Vec& most) {
    const int64_t here = int64_t(row) * span_ + x;
    Acc best = most[0];
    for (int l = 1; l < kLanes; ++l) best = most[l] > best ? most[l] : best;
    flush_site(row, x);
    const int64_t place = place_of(best, s_.problem->span);
    raise(s_.sums, site(row, x), place);
    bars_[here] = Bars<Acc>::at(place, s_.problem->span);
  }

  // Lane sums into the state's sums.
  void flush_site(int row, int x) {
    const int64_t here = int64_t(row) * span_ + x;
    if (!s_.touched[here]) return;
    s_.touched[here] = 0;
    int64_t* to = s_.sums.slices + site(row, x) * s_.sums.quantities * kSlices;
    I32* from = lanes_ + here * kPerSite;
    for (int i = 0; i < kPerSite; ++i) {
      int64_t total = 0;
      for (int l = 0; l < kLanes; ++l) total += from[i][l];
      to[i] += total;
      from[i] = I32{};
    }
    if constexpr (Spread)
      for (int j = 0; j < kSlices; ++j) {
        I64& wide = spreads_[here * kSlices + j];
        for (int l = 0; l < kLanes; ++l) to[kPerSite + j] += wide[l];
        wide = I64{};
      }
  }

  void flush() {
    for (int row = 0; row < rows_; ++row)
      for (int x = 0; x < span_; ++x) flush_site(row, x);
  }

  Sweep& s_;
  Walk<Acc, C> walk_;
  Bars<Acc>* bars_;
  I32* lanes_;
  I64* spreads_;
  const int span_, rows_;
};

// Keeps the best sources of each site in sorted lists. A lane enters the slow path only with a score that can enter the list.
template <class Acc, int C>
void list_sources(Sweep& s) {
  typedef typename Lanes<Acc>::Vec Vec;
  Walk<Acc, C> walk(s);
  const Block& b = *s.block;
  const Rect& r = *b.rect;
  const int span = walk.span, width = walk.width;
  Vec* scores = static_cast<Vec*>(s.scores);
  I64 items;
  for (int l = 0; l < kLanes; ++l) items[l] = b.first + l / b.strips;
  walk.run(
      [&](int k, int x, int, Vec score) { scores[k * span + x] = score; },
      [&](int row, int first, int count, int, int jy) {
        const int last = first + count - 1;
        for (int x = -last > 0 ? -last : 0; x < (span < width - first ? span : width - first); ++x) {
          const int k0 = -x - first > 0 ? -x - first : 0;
          const int k1 = width - x - first < count ? width - x - first : count;
          const int64_t site = int64_t(r.sy0 + s.row_begin + row) * s.width + r.sx0 + x;
          Source* list = s.sources + site * s.keep;
          int32_t& kept = s.kept[site];
          auto bar_now = [&]() -> Vec {
            Vec bar = Vec{} + Lanes<Acc>::lowest;
            if (kept < s.keep) return bar;
            const Source& worst = list[kept - 1];
            for (int l = 0; l < kLanes; ++l) bar[l] = Acc(worst.score - (items[l] <= worst.item ? 1 : 0));
            return bar;
          };
          Vec bar = bar_now();
          for (int k = k0; k < k1; ++k) {
            const Vec score = scores[k * span + x];
            const auto hit = score > bar;
            if (!any(hit)) continue;
            for (int l = 0; l < kLanes; ++l) {
              if (!hit[l]) continue;
              const Source found{int64_t(score[l]), items[l], r.cy0 + jy, r.cx0 + (l % b.strips) * width + x + first + k};
              int at = kept;
              while (at > 0 && before(found, list[at - 1])) --at;
              if (at == s.keep) continue;
              if (kept < s.keep) ++kept;
              for (int m = kept - 1; m > at; --m) list[m] = list[m - 1];
              list[at] = found;
            }
            bar = bar_now();
          }
        }
      });
}

template <class Acc, int C>
void sweep_as(Sweep& s) {
  if (s.keep > 0)
    list_sources<Acc, C>(s);
  else if (s.sums.quantities > 1 + C)
    Summing<Acc, C, true>(s).run();
  else
    Summing<Acc, C, false>(s).run();
}

template <class Acc>
void sweep_channels(Sweep& s) {
  switch (s.problem->corpus.channels) {
    case 1: return sweep_as<Acc, 1>(s);
    case 3: return sweep_as<Acc, 3>(s);
    default: return sweep_as<Acc, 4>(s);
  }
}

// ----------------------------------------------------------------------------------------------------------------- whole

// Products of 256 terms at most fit 32 bits: 256 * 32767 * 255 < 2^31.
inline int64_t dot_long(const int16_t* a, const int16_t* b, int64_t n) {
  int64_t total = 0;
  for (int64_t i = 0; i < n; i += 256) {
    const int64_t m = n - i < 256 ? n - i : 256;
    int32_t part = 0;
    for (int64_t j = 0; j < m; ++j) part += int32_t(a[i + j]) * int32_t(b[i + j]);
    total += part;
  }
  return total;
}

inline void score_whole(Whole& w) {
  const Corpus& k = w.problem->corpus;
  const int64_t row = int64_t(k.width) * k.channels, size = row * k.height;
  const uint8_t* src = k.pixels + w.item * size;
  const int64_t wide = w.shifts ? 2 * row : row, tall = w.shifts ? 2 * k.height : k.height;
  int64_t squares = 0;
  for (int64_t y = 0; y < tall; ++y)
    for (int64_t i = 0; i < wide; ++i) {
      const int32_t q = 2 * int32_t(src[(y % k.height) * row + i % row]) - 255;
      w.centred[y * wide + i] = int16_t(q);
      if (y < k.height && i < row) squares += q * q;
    }
  const int64_t offset = int64_t(__builtin_rint(8.0 * w.problem->signal * double(squares)));
  const int ny = w.shifts ? k.height : 1, nx = w.shifts ? k.width : 1;
  for (int dy = 0; dy < ny; ++dy)
    for (int dx = 0; dx < nx; ++dx) {
      int64_t e = -offset;
      for (int y = 0; y < k.height; ++y) e += dot_long(w.state + y * row, w.centred + (y + dy) * wide + int64_t(dx) * k.channels, row);
      w.scores[dy * nx + dx] = e;
    }
}

// ----------------------------------------------------------------------------------------------------------------- entry

inline void prepare(const Problem& p, const Block& b, Planes& out, bool wide) {
  if (wide)
    lay_out<int64_t>(p, b, out);
  else
    lay_out<int32_t>(p, b, out);
}

inline void sweep(Sweep& s, bool wide) {
  if (wide)
    sweep_channels<int64_t>(s);
  else
    sweep_channels<int32_t>(s);
}

}  // namespace smalti::SMALTI_TARGET
