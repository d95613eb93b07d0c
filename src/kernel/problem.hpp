// What the kernel is asked to compute: plain records, shared by every instruction set.
//
// A site of the state and a site of the corpus are scored by the integer
//     E = sum over the window of X * q  -  rint(8 a * sum over the window of q^2)
// where X is the state in units of 1/4080, q = 2u - 255 the centred pixel and a the signal level. Scores are counted in places
// of G units, worth 15 bits of weight each: the score E = n G + r has the weight
//     w = trunc(2^(15 + 15 r / G))  in units of 2^(15 (n - 1)),
// at most 30 bits, whose upper half is summed at place n and whose lower half at place n - 1. A site keeps the sums of its highest
// place T and of the two below. Each is a sum of integers, so it does not depend on the order of the terms.
#pragma once

#include <cstdint>

namespace smalti {

constexpr int kSliceBits = 15;
constexpr int kSlices = 3;
constexpr int32_t kLargestWeight = (1 << (2 * kSliceBits)) - 1;
constexpr float kSpreadScale = 4096;   // log2 weights are kept in steps of 1/4096
constexpr int kChunk = 16;             // displacements walked side by side
constexpr int kQueueBytes = 12 * kChunk;  // of a site's queue, for each lane; and 128 more
constexpr int64_t kNoPlace = INT64_MIN;

// Sites of the state [sy0, sy1) x [sx0, sx1) may take sources from corpus sites [cy0, cy1) x [cx0, cx1). On a fixed axis only
// the place with the same offset inside its range is admitted, so both ranges have the same length.
struct Rect {
  int32_t sy0, sy1, sx0, sx1;
  int32_t cy0, cy1, cx0, cx1;
  int32_t fixed_y, fixed_x;
};

struct Corpus {
  const uint8_t* pixels;  // (items, height, width, channels)
  int64_t items;
  int32_t height, width, channels;
};

// Corpus sites that may not serve a state: whole items [item_begin, item_end), and sites whose displacement (dy, dx) from the
// state site lies within `radius` of (dy, dx) on both axes (radius 0: none). Used for leave-one-out.
struct Exclusion {
  int64_t item_begin, item_end;
  int32_t dy, dx, radius;
};

struct Problem {
  Corpus corpus;
  int32_t half;    // the window is (2 half + 1) squared
  double signal;   // a
  int64_t span;    // G, score units in a place
  float rate;      // 15 / G
};

// Per site: the highest place, and the sums [quantity][slice] at places place - 2, place - 1, place. Quantities are the weight,
// the weight times q for each channel, and, when wanted, the weight times 4096 times its base-2 logarithm above its place.
struct Sums {
  int64_t sites;
  int32_t quantities;
  int64_t* place;
  int64_t* slices;
};

// (The functions of this file are static: each instruction set compiles its own.)

// One source of a site. In a list the best comes first: higher score, then lower item, row, column.
struct Source {
  int64_t score, item;
  int32_t y, x;
};

[[maybe_unused]] static bool before(const Source& a, const Source& b) {
  if (a.score != b.score) return a.score > b.score;
  if (a.item != b.item) return a.item < b.item;
  if (a.y != b.y) return a.y < b.y;
  return a.x < b.x;
}

// Puts a source into the sorted list of the `keep` best, if it is one of them.
[[maybe_unused]] static void enlist(Source* list, int32_t& kept, int32_t keep, const Source& found) {
  int at = kept;
  while (at > 0 && before(found, list[at - 1])) --at;
  if (at == keep) return;
  if (kept < keep) ++kept;
  for (int m = kept - 1; m > at; --m) list[m] = list[m - 1];
  list[at] = found;
}

// Largest whole number of spans in a score.
[[maybe_unused]] static int64_t place_of(int64_t score, int64_t span) {
  const int64_t n = score / span;
  return n * span > score ? n - 1 : n;
}

// Moves a site's sums up to `place`; the lowest slices fall away.
[[maybe_unused]] static void raise(const Sums& s, int64_t site, int64_t place) {
  const int64_t steps = s.place[site] == kNoPlace ? kSlices : place - s.place[site];
  int64_t* slices = s.slices + site * s.quantities * kSlices;
  for (int32_t q = 0; q < s.quantities; ++q, slices += kSlices)
    for (int j = 0; j < kSlices; ++j) slices[j] = steps < kSlices - j ? slices[j + steps] : 0;
  s.place[site] = place;
}

// The part of the corpus a group of lanes looks at: lane l holds strip l % strips of item first + l / strips.
struct Block {
  const Rect* rect;
  int64_t first;
  int32_t items;   // items really present (the last block may be short)
  int32_t strips;
  int32_t width;   // columns of a strip
};

// Scratch that holds one block laid out for the vector lanes.
struct Planes {
  int32_t* pairs;    // [row][column][channel][lane], low half q at the row, high half q one window height above it
  void* offsets;     // [row][column][lane], rint(8 a sum q^2), int32 or int64
  int32_t* present;  // [column][lane], -1 where the lane has this column, else 0
  int32_t* centres;  // [row][column][lane], the pixel there: a byte for each channel, the first lowest
  int64_t largest;   // largest sum of q^2 over a window
};

// A state laid out for the walk: for each padded pixel and channel the 16-bit pair (X, -X one window height above), and (X, 0).
struct State {
  const int32_t* rolling;
  const int32_t* filling;
  int32_t stride;    // padded width
};

// One sweep of a block over rows [row_begin, row_end) of the rectangle's state sites.
struct Sweep {
  const Problem* problem;
  const Block* block;
  const Planes* planes;
  const State* state;
  const Exclusion* exclusion;
  int32_t row_begin, row_end;
  int32_t width;            // of the state
  void* columns;            // scratch: running column sums
  void* scores;             // scratch: scores of one row at a few displacements
  int32_t* bars;            // scratch: see Bars
  void* queues;             // scratch: see Queue, one for each site of a row
  const int64_t* skip;      // [site], an item that may not serve the site, or -1; null: none
  // Where the results go: sums over the state's sites (with the bytes u in place of q), or each lane's own sums on the scale of
  // `sums.place`, or lists of the `keep` best sources of each site.
  Sums sums;
  int64_t* lanes;           // [row and column of the sweep][quantity][slice][lane]; null: not wanted
  bool above;               // out: a lane has a source above the place of its site
  int32_t keep;
  Source* sources;          // [site][keep], sorted
  int32_t* kept;            // [site]
};

// Scores of a whole item: at the same place, or at every circular shift.
struct Whole {
  const Problem* problem;
  const int16_t* state;     // (height, width, channels)
  int64_t item;
  int32_t shifts;           // 1: every circular shift is admitted, 0: none
  int16_t* centred;         // scratch and out: the item as q, doubled to 2 height x 2 width where shifts are admitted
  int64_t* scores;          // out: height * width, or 1
};

// One instruction set.
struct Target {
  const char* name;
  int32_t lanes;
  void (*prepare)(const Problem&, const Block&, Planes&, bool wide);
  void (*sweep)(Sweep&, bool wide);
  void (*whole)(Whole&);
};

}  // namespace smalti
