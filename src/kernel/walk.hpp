// The walk over displacements, written once and compiled for each instruction set.
//
// For one displacement between state and corpus the product X * q is needed once per pixel. Its sum over a window is kept up to date: a running
// sum down each column (one row enters, one leaves, both in one 16-bit pair product) and a running sum along the row. Several corpus items, or strips of one
// item, lie side by side in the vector lanes. A score within reach of the best so far becomes an integer weight (problem.hpp). All sums are of integers, so
// neither the order of the walk nor the number of lanes can change a result.
//
// The including file defines SMALTI_TARGET (a namespace of its own: no inline code may be shared between instruction sets), kLanes, and dot2, any, above, count,
// pack and totals.

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
SMALTI_INLINE I32 lane_numbers() {
  I32 v;
  for (int l = 0; l < kLanes; ++l) v[l] = l;
  return v;
}

// Comparisons, -1 or 0 in each lane. GCC compares vectors wider than a register one number at a time, so those of 64 bits are halved.
SMALTI_INLINE I32 exceeds(I32 a, I32 b) { return a > b; }
SMALTI_INLINE I64 exceeds(const I64& a, const I64& b) {
  typedef int64_t Half __attribute__((vector_size(4 * kLanes)));
  I64 mask;
  for (int i = 0; i < 2; ++i) reinterpret_cast<Half*>(&mask)[i] = reinterpret_cast<const Half*>(&a)[i] > reinterpret_cast<const Half*>(&b)[i];
  return mask;
}
SMALTI_INLINE bool any(const I64& mask) {
  I32 half[2];
  __builtin_memcpy(half, &mask, sizeof half);
  return any(half[0] | half[1]);
}
SMALTI_INLINE I32 larger(I32 a, I32 b) { return a > b ? a : b; }
SMALTI_INLINE I64 larger(const I64& a, const I64& b) {
  const I64 mask = exceeds(a, b);
  return (a & mask) | (b & ~mask);
}

// 64-bit scores are queued by whole vectors.
struct WideHits {
  I64 mask;
};
SMALTI_INLINE WideHits above(I64 score, int64_t bar) { return {exceeds(score, I64{} + bar)}; }
SMALTI_INLINE bool any(WideHits hits) { return any(hits.mask); }
SMALTI_INLINE int count(WideHits) { return kLanes; }
SMALTI_INLINE void pack(WideHits, I64 v, int64_t* to) { *reinterpret_cast<I64*>(to) = v; }
SMALTI_INLINE void pack(WideHits, I32 v, int32_t* to) { *reinterpret_cast<I32*>(to) = v; }

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

// Two vectors of 16-bit values as pairs for dot2.
SMALTI_INLINE I32 pairs_of(I32 a, I32 b) { return a | (b << 16); }

// Byte c of two vectors as pairs.
SMALTI_INLINE I32 byte_pairs(I32 a, I32 b, int c) {
  const I32 both = c < 2 ? (a & 0xffff) | (b << 16) : ((a >> 16) & 0xffff) | (b & ~0xffff);
  return (c % 2 ? both >> 8 : both) & 0x00ff00ff;
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
    for (int y = 0; y < r.cy1 - r.cy0; ++y)
      for (int x = 0; x < b.width; ++x) {
        uint32_t bytes = 0;
        if (out.present[x * kLanes + l]) {
          const uint8_t* from = k.pixels + ((item * k.height + r.cy0 + y) * k.width + left + h + x) * channels;
          for (int c = 0; c < channels; ++c) bytes |= uint32_t(from[c]) << (8 * c);
        }
        out.centres[(int64_t(y) * b.width + x) * kLanes + l] = int32_t(bytes);
      }
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

  // For each row of state sites and each displacement k of a chunk, calls the function that begin(row, k, place) returns with
  // (x, score) for each site; place + x numbers the corpus sites. Lanes that have no source there get the lowest score of all. After
  // each row of a chunk calls done(row, first, count, jy).
  template <class Begin, class Done>
  SMALTI_INLINE void run(Begin begin, Done done) {
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
        if (y0 < y1) fill(y0, dy, first, count);
        for (int y = y0; y < y1; ++y) {
          for (int k = 0; k < count; ++k) {
            const int dx = first + k;
            const int x0 = dx < 0 ? -dx : 0, x1 = span < width - dx ? span : width - dx;
            Vec* column = columns + int64_t(k) * (span + 2 * half);
            const int32_t* state = y == y0 ? s.state->filling : s.state->rolling;
            const int64_t place = int64_t(y + dy - r.cy0) * width + dx;
            if (masked)
              row<true>(column, y, state, dy, dx, x0, x1, place, allow[k], begin(y - top, k, place));
            else
              row<false>(column, y, state, dy, dx, x0, x1, place, allow[k], begin(y - top, k, place));
          }
          done(y - top, first, count, y + dy - r.cy0);
        }
      }
    }
  }

 private:
  SMALTI_INLINE const I32* plane(int row, int dy, int dx) const { return pairs + (int64_t(row + dy - r.cy0) * cols + dx) * C; }

  // Starts the column sums of a chunk of displacements with rows [y0, y0 + 2 half), several side by side so that they share the state's
  // values and none waits for its last product.
  void fill(int y0, int dy, int first, int count) const {
    for (int e = 0; e < span + 2 * half; ++e) {
      const int end = cols - first - e < count ? cols - first - e : count;
      int k = first + e < 0 ? -(first + e) : 0;
      for (; k + 8 <= end; k += 8) fill_columns<8>(y0, dy, first, k, e);
      for (; k + 3 <= end; k += 3) fill_columns<3>(y0, dy, first, k, e);
      for (; k < end; ++k) fill_columns<1>(y0, dy, first, k, e);
    }
  }

  template <int n>
  SMALTI_INLINE void fill_columns(int y0, int dy, int first, int k, int e) const {
    const int32_t* x = s.state->filling + (int64_t(y0) * s.state->stride + r.sx0 + e) * C;
    const I32* q = plane(y0, dy, first + k + e);
    Vec sum[n] = {};
    for (int64_t p = 0; p < 2 * half; ++p)
      for (int i = 0; i < n; ++i) sum[i] = absorb<C>(sum[i], x + p * s.state->stride * C, q + (p * cols + i) * C);
    for (int i = 0; i < n; ++i) columns[int64_t(k + i) * (span + 2 * half) + e] = sum[i];
  }

  template <bool Masked, class Emit>
  SMALTI_INLINE void row(Vec* column, int y, const int32_t* state, int dy, int dx, int x0, int x1, int64_t place, I32 allow, Emit emit) const {
    const int reach = 2 * half;
    const int32_t* x = state + (int64_t(y + reach) * s.state->stride + r.sx0) * C;
    const I32* q = plane(y + reach, dy, dx);
    const Vec* offset = offsets + place;
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
      emit(i, score);
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

// The scores of a site that are within reach, and their pixels, from one chunk of displacements. Its length is an odd number of cache
// lines with most vectors, so that the queues of a row do not all start in the same cache set.
template <class Acc>
struct alignas(sizeof(typename Lanes<Acc>::Vec) > 64 ? sizeof(typename Lanes<Acc>::Vec) : 64) Queue {
  Acc scores[kChunk * kLanes];
  int32_t pixels[kChunk * kLanes];
  int32_t count;
};

// What to add up: weights and weighted pixels of all lanes together, the same with what the entropy needs, or the weights of each lane,
// without or with weighted pixels.
enum class Wanted { sums, spread, lane_weights, lane_sums };

// Adds up the weights of the scores within reach. Those of one site and one chunk of displacements are put into a queue first, where the
// target may pack them (but not where lanes are told apart), and weighed together.
template <class Acc, int C, Wanted wanted>
class Summing {
  typedef typename Lanes<Acc>::Vec Vec;
  static constexpr bool Spread = wanted == Wanted::spread, kByLane = wanted == Wanted::lane_weights || wanted == Wanted::lane_sums;
  static constexpr int kQuantities = wanted == Wanted::lane_weights ? 1 : 1 + C;
  static constexpr bool kPaired = wanted != Wanted::lane_weights;
  static constexpr int kTerms = kQuantities + (Spread ? 3 : 0);
  static constexpr int kSums = kTerms * kSlices;
  static constexpr int32_t kLowerHalf = (1 << kSliceBits) - 1;
  static constexpr int kBatch = 2 * kChunk;  // vectors weighed together
  static_assert(kChunk % 2 == 0 && sizeof(Queue<Acc>) <= kQueueBytes * kLanes + 128);
  static_assert(kChunk * kLanes <= 256, "32 bits hold 256 products of a slice and a byte");

 public:
  explicit Summing(Sweep& sweep)
      : s_(sweep), walk_(sweep), bars_(reinterpret_cast<Bars<Acc>*>(sweep.bars)), queues_(static_cast<Queue<Acc>*>(sweep.queues)),
        span_(walk_.span), rows_(sweep.row_end - sweep.row_begin) {
    for (int l = 0; l < kLanes; ++l) items_[l] = l / sweep.block->strips;
  }

  template <bool Skip>
  void run() {
    for (int row = 0; row < rows_; ++row)
      for (int x = 0; x < span_; ++x) bars_[row * span_ + x] = Bars<Acc>::at(s_.sums.place[site(row, x)], s_.problem->span);
    for (int x = 0; x < span_; ++x) queues_[x].count = 0;
    if constexpr (kByLane) __builtin_memset(s_.lanes, 0, rows_ * span_ * int64_t{kSums * sizeof(I64)});
    batch_.sites = batch_.vectors = 0;
    const I32* from = reinterpret_cast<const I32*>(s_.planes->centres);
    walk_.run(
        [&](int row, int, int64_t place) {
          return Emission<Skip>{bars_ + row * span_, from + place, queues_, Skip ? s_.skip + site(row, 0) : nullptr, items_, s_.block->first};
        },
        [&](int row, int, int, int) {
          for (int x = 0; x < span_; ++x) {
            if (queues_[x].count == 0) continue;
            if (batch_.vectors > kBatch - kChunk) weigh(row);
            take(row, x);
          }
          weigh(row);
        });
  }

 private:
  // Queues the scores of a row of state sites at one displacement.
  template <bool Skip>
  struct Emission {
    const Bars<Acc>* bars;
    const I32* from;
    Queue<Acc>* queues;
    const int64_t* skip;
    I32 items;
    int64_t first;  // item of the block

    SMALTI_INLINE void operator()(int x, Vec score) const {
      if constexpr (Skip) {
        const Vec out = widen(items == splat(int32_t(skip[x] - first)), Acc{});
        score = (score & ~out) | (out & Lanes<Acc>::lowest);
      }
      const auto hits = above(score, bars[x].low);
      Queue<Acc>& queue = queues[x];
      if constexpr (kByLane) {
        // (Without a branch, which the processor could not foresee where few lanes are within reach.)
        *reinterpret_cast<Vec*>(queue.scores + queue.count) = score;
        if constexpr (kQuantities > 1) *reinterpret_cast<I32*>(queue.pixels + queue.count) = from[x];
        queue.count += any(hits) ? kLanes : 0;
      } else {
        if (!any(hits)) return;
        pack(hits, score, queue.scores + queue.count);
        pack(hits, from[x], queue.pixels + queue.count);
        queue.count += count(hits);
      }
    }
  };

  // Queues of a few sites, weighed step by step: one vector's steps wait for each other, those of different vectors do not.
  struct Batch {
    int sites, vectors;
    struct {
      int x, first, end;
    } of[kPaired ? kBatch / 2 : kBatch];
    I32 pixels[kBatch];
    I32 under[kBatch], third[kBatch];     // whether the score's place is below the site's highest, and whether it is two below
    F32 log2[Spread ? kBatch : 1];        // of the weight, above the place
    F32 fraction[kBatch];                 // of that logarithm
    I32 weight[kBatch];                   // first the logarithm's whole part as exponent bits
    I32 slices[kBatch / 2][kSlices];      // as pairs for dot2
    I32 lowered[Spread ? kBatch / 2 : 1][2];  // the part of the slices that comes from lower halves
  };

  int64_t site(int row, int x) const { return int64_t(walk_.r.sy0 + s_.row_begin + row) * s_.width + walk_.r.sx0 + x; }

  // Puts a site's queue into the batch.
  void take(int row, int x) {
    Queue<Acc>& queue = queues_[x];
    const int n = queue.count;
    queue.count = 0;
    Vec* scores = reinterpret_cast<Vec*>(queue.scores);
    const I32* pixels = reinterpret_cast<const I32*>(queue.pixels);
    // An even number of vectors where they are weighed in pairs, filled up with scores that count for nothing.
    const int vectors = kPaired ? (n + 2 * kLanes - 1) / (2 * kLanes) * 2 : n / kLanes;
    for (int i = n / kLanes; i < vectors; ++i)
      scores[i] = widen(lane_numbers() < n - i * kLanes, Acc{}) ? scores[i] : Vec{} + Lanes<Acc>::lowest;
    Vec most = scores[0];
    for (int i = 1; i < vectors; ++i) most = larger(scores[i], most);
    const Bars<Acc>& bars = bars_[int64_t(row) * span_ + x];
    if (any(above(most, bars.high))) {
      if constexpr (kByLane) {
        s_.above = true;
        return;
      }
      lift(row, x, most);
    }
    const Vec base = Vec{} + bars.base, low = Vec{} + bars.low;
    const Acc span = Acc(s_.problem->span);
    const float rate = s_.problem->rate;
    const int first = batch_.vectors;
    for (int i = 0; i < vectors; ++i) {
      const Vec hits = exceeds(scores[i], low);
      const Vec d = larger(scores[i], low) - base;
      const Vec below = d >> (8 * sizeof(Acc) - 1);
      const Vec e = d + (below & span);
      const Vec far = e >> (8 * sizeof(Acc) - 1);
      const F32 f = __builtin_convertvector(e + (far & span), F32) * rate;
      const I32 whole = __builtin_convertvector(f, I32);
      batch_.fraction[first + i] = f - __builtin_convertvector(whole, F32);
      if constexpr (Spread) batch_.log2[first + i] = f;
      // A weight of nothing where there is no hit. (There f is just below 0, or, where `low` is saturated, anything within 32 bits.)
      batch_.weight[first + i] = narrow(hits) ? whole << 23 : splat(-100 * (1 << 23));
      batch_.under[first + i] = narrow(below);
      batch_.third[first + i] = narrow(far);
      if constexpr (kQuantities > 1) batch_.pixels[first + i] = pixels[i];
    }
    batch_.of[batch_.sites++] = {x, first, first + vectors};
    batch_.vectors += vectors;
  }

  // Adds the weights of a batch to its sites' sums, and empties it.
  void weigh(int row) {
    // 2^(15 + f) truncated, 15 to 30 bits. Powers of two are exact, so they go into the polynomial's coefficients and the exponent bits.
    for (int i = 0; i < batch_.vectors; ++i) {
      constexpr float scale = 1 << kSliceBits;
      const F32 r = batch_.fraction[i];
      F32 p = F32{} + scale * kExp2[0];
      for (int t = 1; t < kExp2Terms; ++t) p = p * r + scale * kExp2[t];
      const I32 w = __builtin_convertvector((F32)((I32)p + batch_.weight[i]), I32);
      batch_.weight[i] = w < kLargestWeight ? w : splat(kLargestWeight);
    }
    if constexpr (kPaired)
      add_pairs(row);
    else
      for (int n = 0; n < batch_.sites; ++n) {
        I32 sum[kSlices] = {};
        for (int i = batch_.of[n].first; i < batch_.of[n].end; ++i) {
          I32 slice[kSlices];
          split(i, slice);
          for (int j = 0; j < kSlices; ++j) sum[j] += slice[j];
        }
        add_lanes(row, batch_.of[n].x, sum);
      }
    batch_.sites = batch_.vectors = 0;
  }

  // The slices of a vector of weights: an upper half stands at its own place, a lower half one place below it.
  SMALTI_INLINE void split(int i, I32* slice) const {
    const I32 w = batch_.weight[i], under = batch_.under[i], third = batch_.third[i];
    const I32 upper = w >> kSliceBits, lower = w & kLowerHalf;
    slice[0] = under & (lower ^ (third & (lower ^ upper)));
    slice[1] = lower ^ (under & (lower ^ (upper & ~third)));
    slice[2] = upper & ~under;
  }

  void add_lanes(int row, int x, const I32* sum) {
    I64* to = reinterpret_cast<I64*>(s_.lanes) + (int64_t(row) * span_ + x) * kSums;
    for (int i = 0; i < kSums; ++i) to[i] += __builtin_convertvector(sum[i], I64);
  }

  // Adds up a batch by pairs of vectors.
  void add_pairs(int row) {
    for (int i = 0; i < batch_.vectors; i += 2) {
      I32 slice[2][kSlices];
      for (int g = 0; g < 2; ++g) split(i + g, slice[g]);
      for (int j = 0; j < kSlices; ++j) batch_.slices[i / 2][j] = pairs_of(slice[0][j], slice[1][j]);
      if constexpr (Spread) {
        I32 lowered[2][2];
        for (int g = 0; g < 2; ++g) {
          const I32 lower = batch_.weight[i + g] & kLowerHalf, under = batch_.under[i + g];
          lowered[g][0] = under & ~batch_.third[i + g] & lower;
          lowered[g][1] = lower & ~under;
        }
        for (int j = 0; j < 2; ++j) batch_.lowered[i / 2][j] = pairs_of(lowered[0][j], lowered[1][j]);
      }
    }
    const I32 one = splat(0x00010001);
    for (int n = 0; n < batch_.sites; ++n) {
      I32 sum[kTerms][kSlices] = {};
      for (int i = batch_.of[n].first / 2; i < batch_.of[n].end / 2; ++i) {
        const I32* slices = batch_.slices[i];
        for (int j = 0; j < kSlices; ++j) sum[0][j] = dot2(sum[0][j], slices[j], one);
        for (int c = 0; c < kQuantities - 1; ++c) {
          const I32 bytes = byte_pairs(batch_.pixels[2 * i], batch_.pixels[2 * i + 1], c);
          for (int j = 0; j < kSlices; ++j) sum[1 + c][j] = dot2(sum[1 + c][j], slices[j], bytes);
        }
        if constexpr (Spread) {
          const I32 a = __builtin_convertvector(batch_.log2[2 * i] * kSpreadScale + 0.5f, I32);
          const I32 b = __builtin_convertvector(batch_.log2[2 * i + 1] * kSpreadScale + 0.5f, I32);
          for (int c = 0; c < 2; ++c) {
            const I32 bytes = byte_pairs(a, b, c);
            for (int j = 0; j < kSlices; ++j) sum[kQuantities + c][j] = dot2(sum[kQuantities + c][j], slices[j], bytes);
            sum[kQuantities + 2][c] = dot2(sum[kQuantities + 2][c], batch_.lowered[i][c], one);
          }
        }
      }
      if constexpr (kByLane) {
        add_lanes(row, batch_.of[n].x, &sum[0][0]);
        continue;
      }
      alignas(64) int32_t found[(kSums + kLanes - 1) / kLanes * kLanes];
      totals<kSums>(&sum[0][0], found);
      int64_t* to = s_.sums.slices + site(row, batch_.of[n].x) * (kQuantities + Spread) * kSlices;
      for (int i = 0; i < kQuantities * kSlices; ++i) to[i] += found[i];
      if constexpr (Spread) {
        const int32_t* spread = found + kQuantities * kSlices;
        for (int j = 0; j < kSlices; ++j)
          to[kQuantities * kSlices + j] +=
              spread[j] + 256 * int64_t(spread[kSlices + j]) + int64_t(kSliceBits * kSpreadScale) * spread[2 * kSlices + j];
      }
    }
  }

  // A score above the highest place: what has been summed moves down.
  __attribute__((noinline)) void lift(int row, int x, const Vec& most) {
    Acc best = most[0];
    for (int l = 1; l < kLanes; ++l) best = most[l] > best ? most[l] : best;
    const int64_t place = place_of(best, s_.problem->span);
    raise(s_.sums, site(row, x), place);
    bars_[int64_t(row) * span_ + x] = Bars<Acc>::at(place, s_.problem->span);
  }

  Sweep& s_;
  Walk<Acc, C> walk_;
  Bars<Acc>* bars_;
  Queue<Acc>* queues_;
  const int span_, rows_;
  I32 items_;  // of the lanes, from the block's first
  Batch batch_;
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
      [&](int, int k, int64_t) { return [to = scores + k * span](int x, Vec score) { to[x] = score; }; },
      [&](int row, int first, int count, int jy) {
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
            // (Saturated: the worst so far may come from a block whose scores need more bits than this one's.)
            for (int l = 0; l < kLanes; ++l) bar[l] = Bars<Acc>::clip(__int128(worst.score) - (items[l] <= worst.item ? 1 : 0));
            return bar;
          };
          Vec bar = bar_now();
          for (int k = k0; k < k1; ++k) {
            const Vec score = scores[k * span + x];
            const Vec hit = exceeds(score, bar);
            if (!any(hit)) continue;
            for (int l = 0; l < kLanes; ++l) {
              if (!hit[l]) continue;
              enlist(list, kept, s.keep, {int64_t(score[l]), items[l], r.cy0 + jy, r.cx0 + (l % b.strips) * width + x + first + k});
            }
            bar = bar_now();
          }
        }
      });
}

template <class Acc, int C, Wanted wanted>
void sum_up(Sweep& s) {
  if (s.skip)
    Summing<Acc, C, wanted>(s).template run<true>();
  else
    Summing<Acc, C, wanted>(s).template run<false>();
}

template <class Acc, int C>
void sweep_as(Sweep& s) {
  if (s.keep > 0)
    list_sources<Acc, C>(s);
  else if (s.lanes && s.sums.quantities == 1)
    Summing<Acc, C, Wanted::lane_weights>(s).template run<false>();
  else if (s.lanes)
    Summing<Acc, C, Wanted::lane_sums>(s).template run<false>();
  else if (s.sums.quantities > 1 + C)
    sum_up<Acc, C, Wanted::spread>(s);
  else
    sum_up<Acc, C, Wanted::sums>(s);
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
