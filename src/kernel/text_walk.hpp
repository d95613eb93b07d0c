// Scores of a block of places against the terms of a site, written once and compiled for each instruction set.
//
// Places lie side by side in the lanes of a vector. For each term the block is read at the offset of the term and compared with its symbol, and
// equal lanes earn its score; nothing is ever gathered or sorted. A block is laid out once, in symbols as wide as the scores, for all sites of a task.
//
// The including file defines SMALTI_TARGET (a namespace of its own: no inline code may be shared between instruction sets), kBytes (of a
// vector), and bits(mask), one bit for each byte of a mask of bytes that are all ones or all zeros.

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "exp2.hpp"
#include "text.hpp"

namespace smalti::SMALTI_TARGET {

// Looking up a posting costs as much as scanning this many bytes of symbols, about.
constexpr int64_t kPostingCost = kBytes / 2;

#define SMALTI_INLINE inline __attribute__((always_inline))

template <class T>
struct Wide {
  typedef T Vec __attribute__((vector_size(kBytes)));
  static constexpr int64_t lanes = kBytes / sizeof(T);
};

template <class T>
SMALTI_INLINE typename Wide<T>::Vec load(const T* from) {
  typename Wide<T>::Vec v;
  __builtin_memcpy(&v, from, kBytes);
  return v;
}
template <class T>
SMALTI_INLINE void store(T* to, typename Wide<T>::Vec v) {
  __builtin_memcpy(to, &v, kBytes);
}
template <class Vec>
SMALTI_INLINE uint64_t bits_of(Vec mask) {
  Bytes bytes;
  static_assert(sizeof bytes == sizeof mask);
  __builtin_memcpy(&bytes, &mask, sizeof bytes);
  return bits(bytes);
}

// Calls what(lane) for each lane of a mask, in rising order.
template <class T, class What>
SMALTI_INLINE void each_lane(uint64_t set, const What& what) {
  constexpr uint64_t ones = (uint64_t{1} << (sizeof(T) - 1) << 1) - 1;  // the bits of one lane
  while (set) {
    const int byte = __builtin_ctzll(set);
    what(byte / int(sizeof(T)));
    set &= ~(ones << byte);
  }
}

// Symbols [from, from + count) of the corpus as T. Places outside the corpus hold the gap symbol.
template <class T>
const T* stage(const TextCorpus& k, int64_t from, int64_t count, T* to) {
  const int64_t there = k.count + kTextSlack;
  const int64_t begin = std::clamp<int64_t>(-from, 0, count), end = std::clamp<int64_t>(there - from, begin, count);
  auto copy = [&](auto* symbols) {
    if (sizeof(*symbols) == sizeof(T) && begin == 0 && end == count) return reinterpret_cast<const T*>(symbols + from);
    std::fill(to, to + begin, T(k.vocabulary));
    for (int64_t i = begin; i < end; ++i) to[i] = T(symbols[from + i]);
    std::fill(to + end, to + count, T(k.vocabulary));
    return const_cast<const T*>(to);
  };
  if (k.bytes == 1) return copy(static_cast<const uint8_t*>(k.symbols));
  if (k.bytes == 2) return copy(static_cast<const uint16_t*>(k.symbols));
  return copy(static_cast<const uint32_t*>(k.symbols));
}

// One block: places [base, base + count), and what the corpus holds there and around.
template <class T>
struct Piece {
  int64_t base, count;
  const T* centre;
};

// Scores of the places of a block; 0 in gaps.
template <class T>
void score(const TextRequest& q, int64_t site, const Piece<T>& piece, T* out) {
  typedef typename Wide<T>::Vec Vec;
  constexpr int64_t lanes = Wide<T>::lanes;
  const TextTerm *term = q.terms + q.first[site], *end = q.terms + q.first[site + 1];
  const Vec gap = Vec{} + T(q.corpus.vocabulary);
  if (q.table) {
    std::fill(out, out + piece.count, T(0));
    for (; term != end; ++term) {
      const int32_t* row = q.table + int64_t(term->symbol) * (q.corpus.vocabulary + 1);
      const T* at = piece.centre + term->offset;
      for (int64_t i = 0; i < piece.count; ++i) out[i] += T(row[at[i]]);
    }
    for (int64_t i = 0; i < piece.count; ++i) out[i] = piece.centre[i] == T(q.corpus.vocabulary) ? T(0) : out[i];
    return;
  }
  for (int64_t i = 0; i < piece.count; i += 4 * lanes) {
    Vec sum[4] = {};
    for (const TextTerm* t = term; t != end; ++t) {
      const Vec symbol = Vec{} + T(t->symbol), value = Vec{} + T(t->value);
      const T* at = piece.centre + i + t->offset;
      for (int v = 0; v < 4; ++v) sum[v] += (Vec)(load(at + v * lanes) == symbol) & value;
    }
    for (int v = 0; v < 4; ++v) store(out + i + v * lanes, sum[v] & (Vec)(load(piece.centre + i + v * lanes) != gap));
  }
}

template <class T>
T highest(const T* scores, int64_t count) {
  typedef typename Wide<T>::Vec Vec;
  constexpr int64_t lanes = Wide<T>::lanes;
  Vec best = {};
  for (int64_t i = 0; i < count; i += lanes) {
    const Vec v = load(scores + i);
    best = v > best ? v : best;
  }
  T top = 0;
  for (int l = 0; l < lanes; ++l) top = std::max(top, T(best[l]));
  return top;
}

// Calls site(index in the task, piece, scores) for each block and site of a task; scores of excluded places and past the end are 0.
template <class T, class Each>
void each_block(const TextTask& task, const Each& each) {
  const TextRequest& q = *task.request;
  T* scores = static_cast<T*>(task.scores);
  for (int64_t base = task.begin; base < task.end; base += kTextBlock) {
    const int64_t count = std::min(kTextBlock, task.end - base);
    const T* staged = stage<T>(q.corpus, base - q.radius, count + 2 * q.radius + kTextSlack, static_cast<T*>(task.staged));
    const Piece<T> piece{base, count, staged + q.radius};
    for (int64_t site = task.site_begin; site < task.site_end; ++site) {
      score(q, site, piece, scores);
      std::fill(scores + count, scores + count + kTextSlack, T(0));
      const int64_t from = std::clamp<int64_t>(q.excluded[2 * site] - base, 0, count);
      const int64_t to = std::clamp<int64_t>(q.excluded[2 * site + 1] - base, from, count);
      std::fill(scores + from, scores + to, T(0));
      const int32_t only = q.only[site];
      if (only >= 0)
        for (int64_t i = 0; i < count; ++i) scores[i] = piece.centre[i] == T(only) ? scores[i] : T(0);
      each(site, piece, scores, from, to);
    }
  }
}

// Calls what(place in the block) for each admitted place whose score is at least `bar`, in rising order.
template <class T, class What>
SMALTI_INLINE void each_place(const Piece<T>& piece, const T* scores, int64_t excluded, int64_t until, int32_t only, int64_t bar, const What& what) {
  typedef typename Wide<T>::Vec Vec;
  constexpr int64_t lanes = Wide<T>::lanes;
  if (bar <= 0) {
    auto every = [&](int64_t from, int64_t to) {
      if (only < 0)
        for (int64_t i = from; i < to; ++i) what(i);
      else
        for (int64_t i = from; i < to; ++i)
          if (piece.centre[i] == T(only)) what(i);
    };
    every(0, excluded);
    every(until, piece.count);
    return;
  }
  const Vec above = Vec{} + T(bar - 1);
  for (int64_t i = 0; i < piece.count; i += lanes)
    each_lane<T>(bits_of(load(scores + i) > above), [&](int lane) { what(i + lane); });
}

// As weight_of for pictures.
SMALTI_INLINE void text_weight(int64_t score, const TextRequest& q, int64_t& place, int64_t& weight, int64_t& log2) {
  place = score / q.span;  // scores are not negative
  const float f = float(score - place * q.span) * q.rate;
  const int32_t n = int32_t(f);
  const float r = f - float(n);
  float v = kExp2[0];
  for (int i = 1; i < kExp2Terms; ++i) v = v * r + kExp2[i];
  weight = std::min(int32_t(v * std::bit_cast<float>((n + kSliceBits + 127) << 23)), kLargestWeight);
  log2 = int32_t(f * kSpreadScale + 0.5f);
}

SMALTI_INLINE void lift(int64_t* slots, int64_t keys, int64_t steps) {
  for (int64_t k = 0; k < keys; ++k, slots += kSlices + 1)
    for (int j = 0; j <= kSlices; ++j) slots[j] = j > 0 && j + steps <= kSlices ? slots[j + steps] : 0;
}

// Sums of halves of weights, upper half in the upper 32 bits: one addition to memory for a place. Emptied before they can overflow.
struct Halves {
  std::vector<uint64_t> sums;  // [key + 1][slices], by how far a weight's place lies above the lowest that is kept
  int64_t added = 0;

  static constexpr int64_t kMost = int64_t{1} << (32 - kSliceBits);

  void empty(int64_t* slots) {
    for (size_t key = 0; key < sums.size() / kSlices; ++key, slots += kSlices + 1)
      for (int j = 0; j < kSlices; ++j) {
        uint64_t& sum = sums[key * kSlices + j];
        slots[j + 1] += int64_t(sum >> 32);
        slots[j] += int64_t(sum & UINT32_MAX);
        sum = 0;
      }
    added = 0;
  }
};

// How many scores are not 0.
template <class T>
int64_t nonzero(const T* scores, int64_t count) {
  typedef typename Wide<T>::Vec Vec;
  int64_t bytes = 0;
  for (int64_t i = 0; i < count; i += Wide<T>::lanes) bytes += std::popcount(bits_of(load(scores + i) > Vec{}));
  return bytes / int64_t(sizeof(T));
}

template <class T>
void weigh_lanes(const TextTask& task, TextWeigher& to) {
  const TextRequest& q = *task.request;
  const int64_t keys = to.keys.count + 1, stride = keys * (kSlices + 1);
  std::vector<Halves> halves(task.site_end - task.site_begin, Halves{std::vector<uint64_t>(keys * kSlices, 0)});
  // Where few symbols are known most places score 0. They are then not looked at one by one: of each symbol there are as many as the block
  // has, less those that score more.
  const bool may_skip = !to.keys.of && keys <= kTextBlock / 8;
  std::vector<uint32_t> here(keys), left(keys);  // of each symbol: in the block, and those that score 0
  int64_t counted = -1;
  each_block<T>(task, [&](int64_t site, const Piece<T>& piece, const T* scores, int64_t excluded, int64_t until) {
    const int64_t index = site - task.site_begin;
    const int64_t top = highest(scores, piece.count), at = top / q.span;
    int64_t& place = to.place[index];
    int64_t* slots = to.slots + index * stride;
    int64_t* spread = to.spread ? to.spread + index * (kSlices + 1) : nullptr;
    Halves& mine = halves[index];
    if (place == kNoPlace) place = at;
    if (at > place) {
      const int64_t steps = std::min<int64_t>(at - place, kSlices);
      mine.empty(slots);
      lift(slots, keys, steps);
      if (spread) lift(spread, 1, steps);
      place = at;
    }
    const int64_t low = place - (kSlices - 1), bar = low * q.span;
    if (top < bar) return;
    if (mine.added + piece.count > Halves::kMost) mine.empty(slots);
    mine.added += piece.count;
    uint64_t* sums = mine.sums.data();
    auto add = [&](int64_t i, int64_t key) {
      int64_t place_of_it, weight, log2;
      if constexpr (sizeof(T) == 2) {
        const TextWeight w = to.of[scores[i]];
        place_of_it = w.place, weight = w.weight, log2 = w.log2;
      } else {
        text_weight(scores[i], q, place_of_it, weight, log2);
      }
      const int64_t down = place_of_it - low, upper = weight >> kSliceBits, lower = weight & ((1 << kSliceBits) - 1);
      sums[key * kSlices + down] += uint64_t(upper) << 32 | uint64_t(lower);
      if (spread && piece.centre[i] != T(q.corpus.vocabulary)) {
        spread[down + 1] += upper * log2;
        spread[down] += lower * (log2 + int64_t(kSliceBits * kSpreadScale));
      }
    };
    if (to.keys.of) {
      each_place(piece, scores, excluded, until, q.only[site], bar, [&](int64_t i) { add(i, to.keys.of[piece.base + i]); });
    } else if (bar <= 0 && may_skip && excluded == until && q.only[site] < 0 && nonzero(scores, piece.count) < piece.count / 4) {
      if (counted != piece.base) {
        counted = piece.base;
        std::fill(here.begin(), here.end(), 0);
        for (int64_t i = 0; i < piece.count; ++i) ++here[piece.centre[i]];
      }
      std::copy(here.begin(), here.end(), left.begin());
      each_place(piece, scores, excluded, until, -1, 1, [&](int64_t i) {
        --left[piece.centre[i]];
        add(i, int64_t(piece.centre[i]));
      });
      // The weight of score 0 is 2^15, at place 0: its upper half is 1.
      for (int64_t key = 0; key < keys; ++key) sums[key * kSlices - low] += uint64_t(left[key]) << 32;
    } else {
      each_place(piece, scores, excluded, until, q.only[site], bar, [&](int64_t i) { add(i, int64_t(piece.centre[i])); });
    }
  });
  for (size_t index = 0; index < halves.size(); ++index) halves[index].empty(to.slots + int64_t(index) * stride);
}

SMALTI_INLINE void insert(TextSource* list, int64_t& kept, int64_t keep, TextSource found) {
  int64_t i = kept < keep ? kept++ : keep - 1;
  for (; i > 0 && list[i - 1].score < found.score; --i) list[i] = list[i - 1];
  list[i] = found;
}

template <class T>
void list_lanes(const TextTask& task, TextKeeper& to) {
  const TextRequest& q = *task.request;
  each_block<T>(task, [&](int64_t site, const Piece<T>& piece, const T* scores, int64_t excluded, int64_t until) {
    const int64_t index = site - task.site_begin;
    TextSource* list = to.sources + index * to.keep;
    int64_t& kept = to.kept[index];
    // Places come in rising order: a later one must be better to push out an earlier one.
    const int64_t bar = kept < to.keep ? 0 : list[to.keep - 1].score + 1;
    if (bar > highest(scores, piece.count)) return;
    each_place(piece, scores, excluded, until, q.only[site], bar, [&](int64_t i) {
      if (piece.centre[i] == T(q.corpus.vocabulary)) return;
      if (kept == to.keep && int64_t(scores[i]) <= list[kept - 1].score) return;
      insert(list, kept, to.keep, {int64_t(scores[i]), piece.base + i});
    });
  });
}

template <class T>
void count_lanes(const TextTask& task, TextCounter& to) {
  const TextRequest& q = *task.request;
  const int64_t row = to.keys.count + 1;
  each_block<T>(task, [&](int64_t site, const Piece<T>& piece, const T* scores, int64_t excluded, int64_t until) {
    int64_t* counts = to.counts + (site - task.site_begin) * q.largest * row;
    each_place(piece, scores, excluded, until, q.only[site], 1, [&](int64_t i) {
      ++counts[(scores[i] - 1) * row + (to.keys.of ? to.keys.of[piece.base + i] : int64_t(piece.centre[i]))];
    });
  });
}

// The ladder of one site, as the walk needs it.
struct Ladder {
  const TextTerm *begin, *end, *second;  // `second`: the first term of the second rung
  int64_t excluded, until;
  int32_t only;
};

template <class T>
void descend_lanes(const TextTask& task, TextDepths& to) {
  typedef typename Wide<T>::Vec Vec;
  constexpr int64_t lanes = Wide<T>::lanes;
  const TextRequest& q = *task.request;
  const int64_t row = to.keys.count + 1, stride = to.rungs * row, slots = task.site_end - task.site_begin;
  std::vector<Ladder> ladders;
  std::vector<char> scanned(slots, 1);
  for (int64_t site = task.site_begin; site < task.site_end; ++site) {
    Ladder l{q.terms + q.first[site], q.terms + q.first[site + 1], nullptr, q.excluded[2 * site], q.excluded[2 * site + 1], q.only[site]};
    for (l.second = l.begin; l.second != l.end && l.second->value == l.begin->value;) ++l.second;
    ladders.push_back(l);
    if (l.begin == l.end) scanned[site - task.site_begin] = 0;
  }
  const T gap = T(q.corpus.vocabulary);
  auto found = [&](int64_t index, int64_t place, T centre, int64_t depth) {
    const Ladder& l = ladders[index];
    if ((place >= l.excluded && place < l.until) || (l.only >= 0 && centre != T(l.only)) || centre == gap) return;
    ++to.counts[index * stride + (depth - 1) * row + (to.keys.of ? to.keys.of[place] : int64_t(centre))];
    if (!to.keep) return;
    TextSource* list = to.sources + index * to.keep;
    int64_t& kept = to.kept[index];
    if (kept < to.keep || depth > list[kept - 1].score) insert(list, kept, to.keep, {depth, place});
  };

  // Where a symbol of the first rung is rare, its places are looked up.
  if (to.index.places)
    for (int64_t index = 0; index < slots; ++index) {
      const Ladder& l = ladders[index];
      if (l.begin == l.end) continue;
      const TextTerm* rare = l.begin;
      auto many = [&](const TextTerm* t) { return to.index.first[t->symbol + 1] - to.index.first[t->symbol]; };
      for (const TextTerm* t = l.begin; t != l.second; ++t)
        if (many(t) < many(rare)) rare = t;
      // A rung of one offset finds all postings of its symbol anyway; one of several finds few of what it scans.
      if (l.second - l.begin > 1 && many(rare) * kPostingCost > q.corpus.count * int64_t(sizeof(T))) continue;
      scanned[index] = 0;
      auto lookup = [&](auto* symbols) {
        const int32_t *from = to.index.places + to.index.first[rare->symbol], *until = to.index.places + to.index.first[rare->symbol + 1];
        from = std::lower_bound(from, until, task.begin + rare->offset);
        const bool plain = !to.keep && !to.keys.of && l.only < 0 && l.excluded == l.until;
        int64_t* counts = to.counts + index * stride - row;
        for (; from != until && *from - rare->offset < task.end; ++from) {
          const int64_t place = *from - rare->offset;
          const auto* at = symbols + place;
          if (T(*at) == gap) continue;  // and so the window lies inside the array
          const TextTerm* t = l.begin;
          while (t != l.end && int32_t(at[t->offset]) == t->symbol) ++t;
          const int64_t depth = t == l.end ? l.end[-1].value + 1 : t->value;
          if (depth == 0) continue;
          if (plain) ++counts[depth * row + int64_t(*at)];
          else found(index, place, T(*at), depth);
        }
      };
      if (q.corpus.bytes == 1) lookup(static_cast<const uint8_t*>(q.corpus.symbols));
      else if (q.corpus.bytes == 2) lookup(static_cast<const uint16_t*>(q.corpus.symbols));
      else lookup(static_cast<const int32_t*>(q.corpus.symbols));
    }
  if (std::find(scanned.begin(), scanned.end(), 1) == scanned.end()) return;

  for (int64_t base = task.begin; base < task.end; base += kTextBlock) {
    const int64_t count = std::min(kTextBlock, task.end - base);
    const T* centre = stage<T>(q.corpus, base - q.radius, count + 2 * q.radius + kTextSlack, static_cast<T*>(task.staged)) + q.radius;
    for (int64_t index = 0; index < slots; ++index) {
      if (!scanned[index]) continue;
      const Ladder& l = ladders[index];
      const bool plain = !to.keep && !to.keys.of && l.only < 0 && (l.until <= base || l.excluded >= base + count);
      int64_t* counts = to.counts + index * stride - row;
      const Vec first = Vec{} + T(l.begin->symbol);
      for (int64_t i = 0; i < count; i += lanes) {
        Vec mask = (Vec)(load(centre + i + l.begin->offset) == first);
        const TextTerm* t = l.begin + 1;
        for (; t != l.second; ++t) mask &= (Vec)(load(centre + i + t->offset) == Vec{} + T(t->symbol));
        const uint64_t any = bits_of(mask);
        if (!any) continue;
        Vec depth = -mask;
        while (t != l.end) {
          for (const int32_t rung = t->value; t != l.end && t->value == rung; ++t)
            mask &= (Vec)(load(centre + i + t->offset) == Vec{} + T(t->symbol));
          if (!bits_of(mask)) break;
          depth -= mask;
        }
        T of[lanes];
        store(of, depth);
        if (plain && i + lanes <= count)
          each_lane<T>(any, [&](int lane) { ++counts[int64_t(of[lane]) * row + int64_t(centre[i + lane])]; });
        else
          each_lane<T>(any, [&](int lane) {
            if (i + lane < count) found(index, base + i + lane, centre[i + lane], int64_t(of[lane]));
          });
      }
    }
  }
}

void weigh(const TextTask& task, TextWeigher& to, bool wide) { wide ? weigh_lanes<uint32_t>(task, to) : weigh_lanes<uint16_t>(task, to); }
void list(const TextTask& task, TextKeeper& to, bool wide) { wide ? list_lanes<uint32_t>(task, to) : list_lanes<uint16_t>(task, to); }
void count(const TextTask& task, TextCounter& to) {
  const int64_t most = std::max<int64_t>(task.request->corpus.vocabulary, task.request->largest);
  if (most <= UINT8_MAX) return count_lanes<uint8_t>(task, to);
  if (most <= UINT16_MAX) return count_lanes<uint16_t>(task, to);
  count_lanes<uint32_t>(task, to);
}
void descend(const TextTask& task, TextDepths& to) {
  const int64_t most = std::max<int64_t>(task.request->corpus.vocabulary, to.rungs);
  if (most <= UINT8_MAX) return descend_lanes<uint8_t>(task, to);
  if (most <= UINT16_MAX) return descend_lanes<uint16_t>(task, to);
  descend_lanes<uint32_t>(task, to);
}

}  // namespace smalti::SMALTI_TARGET
