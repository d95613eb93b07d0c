#include "engine.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>

#include "exp2.hpp"
#include "parallel.hpp"

namespace smalti {
namespace {

// Uninitialised memory aligned for the widest vectors.
class Buffer {
 public:
  template <class T>
  T* get(int64_t count) {
    const size_t bytes = (size_t(std::max<int64_t>(count, 1)) * sizeof(T) + 127) / 128 * 128;
    if (bytes > size_) {
      memory_.reset(static_cast<char*>(std::aligned_alloc(128, bytes)));
      size_ = memory_ ? bytes : 0;
      if (!memory_) throw std::bad_alloc();
    }
    return reinterpret_cast<T*>(memory_.get());
  }

 private:
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  std::unique_ptr<char, Free> memory_;
  size_t size_ = 0;
};

class OwnedSums {
 public:
  OwnedSums(std::vector<int64_t> place, int32_t quantities)
      : place_(std::move(place)), slices_(place_.size() * quantities * kSlices, 0),
        sums{int64_t(place_.size()), quantities, place_.data(), slices_.data()} {}
  OwnedSums(const OwnedSums&) = delete;

 private:
  std::vector<int64_t> place_, slices_;

 public:
  Sums sums;
};

void merge(Sums& into, const Sums& from) {
  for (int64_t i = 0; i < into.sites; ++i) {
    if (from.place[i] == kNoPlace) continue;
    if (into.place[i] == kNoPlace || from.place[i] > into.place[i]) raise(into, i, from.place[i]);
    const int64_t down = into.place[i] - from.place[i];
    if (down >= kSlices) continue;
    int64_t* to = into.slices + i * into.quantities * kSlices;
    const int64_t* add = from.slices + i * from.quantities * kSlices;
    for (int32_t q = 0; q < into.quantities; ++q, to += kSlices, add += kSlices)
      for (int64_t j = down; j < kSlices; ++j) to[j - down] += add[j];
  }
}

// Bytes of the lanes' own sums in one sweep: with more than fits a core's cache each row of scores waits for memory.
constexpr int64_t kLaneBytes = 1 << 20;

// Of the lanes' own sums for one row of state sites.
int64_t lane_bytes(const Request& q, const Rect& r, int32_t quantities) {
  return int64_t(r.sx1 - r.sx0) * quantities * kSlices * q.target->lanes * sizeof(int64_t);
}

struct Task {
  Block block;
  int64_t unit_begin, unit_end;  // (state, band) pairs, state-major
};

struct Plan {
  std::vector<Task> tasks;
  std::vector<int32_t> band_rows;  // for each rectangle
};

int32_t bands_of(const Rect& r, int32_t rows) { return (r.sy1 - r.sy0 + rows - 1) / rows; }

Plan plan(const Request& q, int32_t lane_quantities) {
  Plan out;
  const int64_t items = q.problem.corpus.items;
  const int32_t lanes = q.target->lanes;
  for (const Rect& r : q.rects) {
    const int32_t rows = r.sy1 - r.sy0, wide = r.cx1 - r.cx0;
    int32_t band = rows;  // of state sites in one sweep; fewer cost more, as each sweep has to fill its windows
    if (lane_quantities > 0)
      band = int32_t(std::clamp<int64_t>(kLaneBytes / lane_bytes(q, r, lane_quantities), 1, rows));
    // Few items: several strips of each side by side, so that no lane idles.
    int32_t strips = 1;
    if (!r.fixed_x)
      while (strips < lanes && items * strips < 2 * lanes && wide / (2 * strips) >= 4) strips *= 2;
    const int32_t per_block = lanes / strips;
    const int64_t blocks = (items + per_block - 1) / per_block;
    // With few blocks the states and bands are shared out instead; each part then lays out the block for itself.
    const int64_t wanted = 4 * int64_t(q.threads);
    while (q.threads > 1 && blocks * q.states * bands_of(r, band) < wanted && band > std::max(8, q.problem.half)) band = (band + 1) / 2;
    const int64_t units = q.states * bands_of(r, band);
    const int64_t parts = blocks >= wanted || q.threads == 1 ? 1 : std::min(units, (wanted + blocks - 1) / blocks);
    out.band_rows.push_back(band);
    for (int64_t b = 0; b < blocks; ++b)
      for (int64_t p = 0; p < parts; ++p) {
        Task t;
        t.block = {&r, b * per_block, int32_t(std::min<int64_t>(per_block, items - b * per_block)), strips, (wide + strips - 1) / strips};
        t.unit_begin = units * p / parts;
        t.unit_end = units * (p + 1) / parts;
        if (t.unit_begin < t.unit_end) out.tasks.push_back(t);
      }
  }
  return out;
}

// 16-bit pairs for the walk. `largest` is the largest sum of squares of a window of the padded state.
struct Packed {
  std::vector<int32_t> rolling, filling;
  int64_t largest = 0;
};

Packed pack(const Request& q, int64_t state) {
  const int h = q.problem.half, channels = q.problem.corpus.channels, size = 2 * h + 1;
  const int64_t rows = q.height + 2 * h, cols = q.width + 2 * h, step = cols * channels;
  const int16_t* x = q.padded + state * rows * step;
  Packed out;
  out.rolling.resize(rows * step);
  out.filling.resize(rows * step);
  std::vector<int64_t> column(cols, 0);
  auto square = [&](int64_t y, int64_t i) {
    int64_t s = 0;
    for (int c = 0; c < channels; ++c) s += int64_t(x[y * step + i * channels + c]) * x[y * step + i * channels + c];
    return s;
  };
  for (int64_t y = 0; y < rows; ++y) {
    for (int64_t i = 0; i < step; ++i) {
      const uint32_t now = uint16_t(x[y * step + i]);
      const uint32_t gone = y >= size ? uint16_t(-x[(y - size) * step + i]) : 0;
      out.filling[y * step + i] = int32_t(now);
      out.rolling[y * step + i] = int32_t(now | gone << 16);
    }
    for (int64_t i = 0; i < cols; ++i) column[i] += square(y, i) - (y >= size ? square(y - size, i) : 0);
    if (y < 2 * h) continue;
    int64_t sum = 0;
    for (int64_t i = 0; i < cols; ++i) {
      sum += column[i];
      if (i < 2 * h) continue;
      out.largest = std::max(out.largest, sum);
      sum -= column[i - 2 * h];
    }
  }
  return out;
}

// Whether every score X q - 8 a q^2 fits 32 bits: |X q| <= |X| |q| (Cauchy-Schwarz). `corpus` and `state` are the largest sums of
// squares of a window.
bool fits_32_bits(double corpus, double state, double signal) {
  return 1.001 * (std::sqrt(corpus) * std::sqrt(state) + 8.0 * signal * corpus) < 2147483000.0;
}

struct Scratch {
  Buffer pairs, offsets, present, centres, columns, scores, bars, queues, lanes;
};

// Called before and after each sweep.
using Use = std::function<void(int32_t thread, Sweep&, int64_t state)>;

// Runs all sweeps; `begin` says where each puts its results. With `lane_quantities` sweeps sum lanes apart, and `end` collects the sums.
void sweep_all(const Request& q, const Use& begin, int32_t lane_quantities = 0, const Use& end = [](int32_t, Sweep&, int64_t) {}) {
  const Plan todo = plan(q, lane_quantities);
  std::vector<Packed> packed(q.states);
  parallel(q.threads, q.states, [&](int32_t, int64_t b) { packed[b] = pack(q, b); });
  const int h = q.problem.half, channels = q.problem.corpus.channels, lanes = q.target->lanes;
  int64_t largest_state = 0;
  for (const Packed& p : packed) largest_state = std::max(largest_state, p.largest);
  // Sums of q^2 alone, or the score units of a place, may be too large for 32 bits.
  const bool always_wide = double(2 * h + 1) * (2 * h + 1) * channels * 255 * 255 > 2147483000.0 || q.problem.span > (1 << 30);
  std::vector<Scratch> scratch(q.threads);

  parallel(q.threads, int64_t(todo.tasks.size()), [&](int32_t thread, int64_t index) {
    const Task& task = todo.tasks[index];
    const Rect& r = *task.block.rect;
    const int32_t band = todo.band_rows[&r - q.rects.data()], bands = bands_of(r, band);
    Scratch& mine = scratch[thread];
    const int64_t span = r.sx1 - r.sx0, rows = r.cy1 - r.cy0, cols = task.block.width + 2 * h;
    const int64_t spare = (cols + task.block.width - 1) / task.block.width;  // rows for a line of `cols` entries
    Planes planes;
    planes.pairs = mine.pairs.get<int32_t>((rows + 2 * h) * cols * channels * lanes);
    planes.offsets = mine.offsets.get<int64_t>((rows + spare) * task.block.width * lanes);
    planes.present = mine.present.get<int32_t>(int64_t(task.block.width) * lanes);
    planes.centres = mine.centres.get<int32_t>(rows * task.block.width * lanes);
    bool wide = always_wide;
    if (!wide) {
      q.target->prepare(q.problem, task.block, planes, false);
      wide = !fits_32_bits(double(planes.largest), double(largest_state), q.problem.signal);
    }
    if (wide) q.target->prepare(q.problem, task.block, planes, true);

    Sweep s{};
    s.problem = &q.problem;
    s.block = &task.block;
    s.planes = &planes;
    s.width = q.width;
    s.columns = mine.columns.get<int64_t>(kChunk * (span + 2 * h) * lanes);
    s.scores = mine.scores.get<int64_t>(kChunk * span * lanes);
    s.bars = mine.bars.get<int32_t>(6 * band * span);
    s.queues = mine.queues.get<char>((kQueueBytes * lanes + 128) * span);
    if (lane_quantities > 0) s.lanes = mine.lanes.get<int64_t>(band * lane_bytes(q, r, lane_quantities) / sizeof(int64_t));
    for (int64_t unit = task.unit_begin; unit < task.unit_end; ++unit) {
      const int64_t state = unit / bands;
      const State walked{packed[state].rolling.data(), packed[state].filling.data(), q.width + 2 * h};
      s.state = &walked;
      s.exclusion = &q.exclusions[state];
      s.row_begin = int32_t(unit % bands) * band;
      s.row_end = std::min(s.row_begin + band, r.sy1 - r.sy0);
      begin(thread, s, state);
      q.target->sweep(s, wide);
      end(thread, s, state);
    }
  });
}

// The weight of a score, its place, and its base-2 logarithm above the place in steps of 1/4096: as in Summing::weigh, for one score.
struct Weight {
  int64_t place;
  int32_t upper, lower, log2;
};

Weight weight_of(const Problem& p, int64_t score) {
  const int64_t place = place_of(score, p.span);
  const float f = float(score - place * p.span) * p.rate;
  const int32_t n = int32_t(f);
  const float r = f - float(n);
  float v = kExp2[0];
  for (int i = 1; i < kExp2Terms; ++i) v = v * r + kExp2[i];
  const int32_t w = std::min(int32_t(v * std::bit_cast<float>((n + kSliceBits + 127) << 23)), kLargestWeight);
  return {place, w >> kSliceBits, w & ((1 << kSliceBits) - 1), int32_t(f * kSpreadScale + 0.5f)};
}

// The sweeps weigh the bytes u: from their sums at a site to those of q = 2u - 255.
void centre(int64_t* slices, int32_t channels) {
  for (int64_t c = 1; c <= channels; ++c)
    for (int j = 0; j < kSlices; ++j) slices[c * kSlices + j] = 2 * slices[c * kSlices + j] - 255 * slices[j];
}

// The sums of whole-image machines for one state are those of a single site that has the values of a whole picture: weight, then
// weight times q for each value, then the spread.
struct Picture {
  const int16_t* q;
  int64_t rows, row, step;  // rows of `row` values, `step` apart
};

void add(Sums& into, const Weight& w, const Picture& p) {
  if (*into.place == kNoPlace || w.place > *into.place) raise(into, 0, w.place);
  const int64_t top = kSlices - 1 - (*into.place - w.place), values = into.quantities - 2;
  for (int half = 0; half < 2; ++half) {
    const int64_t j = top - half;
    const int64_t slice = half ? w.lower : w.upper;
    if (j < 0 || slice == 0) continue;
    int64_t* to = into.slices + j;
    *to += slice;
    if (values > 0)
      for (int64_t y = 0; y < p.rows; ++y)
        for (int64_t i = 0; i < p.row; ++i) *(to += kSlices) += slice * p.q[y * p.step + i];
    into.slices[(into.quantities - 1) * kSlices + j] += slice * (w.log2 + half * int64_t(kSliceBits * kSpreadScale));
  }
}

// The sites of a state from its picture's sums, on the places they have already or higher ones. `channels` 0: the weight alone.
void share_out(const Sums& from, int32_t channels, bool spread, Sums to) {
  for (int64_t i = 0; i < to.sites; ++i) {
    if (*from.place == kNoPlace) continue;
    if (to.place[i] == kNoPlace || *from.place > to.place[i]) to.place[i] = *from.place;
    const int64_t down = to.place[i] - *from.place;
    int64_t* slices = to.slices + i * to.quantities * kSlices;
    for (int64_t j = down; j < kSlices; ++j) {
      const auto at = [&](int64_t quantity) { return from.slices[quantity * kSlices + j]; };
      slices[j - down] = at(0);
      for (int32_t c = 0; c < channels; ++c) slices[(1 + c) * kSlices + j - down] = at(1 + i * channels + c);
      if (spread) slices[(1 + channels) * kSlices + j - down] = at(from.quantities - 1);
    }
  }
}

// Calls use(thread, item, state, dy, dx, score, picture) for each item that may serve the state, and each of its admitted shifts.
template <class Use>
void each_whole(const Request& q, const Use& use) {
  const Corpus& k = q.problem.corpus;
  const int64_t row = int64_t(k.width) * k.channels, size = row * k.height;
  std::vector<Buffer> centred(q.threads), scores(q.threads);
  parallel(q.threads, k.items, [&](int32_t thread, int64_t item) {
    Whole w{};
    w.problem = &q.problem;
    w.item = item;
    w.shifts = q.shifts;
    w.centred = centred[thread].get<int16_t>((q.shifts ? 4 : 1) * size);
    w.scores = scores[thread].get<int64_t>(int64_t(k.height) * k.width);
    const int ny = q.shifts ? k.height : 1, nx = q.shifts ? k.width : 1;
    const int64_t step = q.shifts ? 2 * row : row;
    for (int64_t b = 0; b < q.states; ++b) {
      if (item >= q.exclusions[b].item_begin && item < q.exclusions[b].item_end) continue;
      w.state = q.padded + b * size;
      q.target->whole(w);
      for (int dy = 0; dy < ny; ++dy)
        for (int dx = 0; dx < nx; ++dx) {
          const Picture p{w.centred + dy * step + int64_t(dx) * k.channels, k.height, row, step};
          use(thread, item, b, dy, dx, w.scores[dy * nx + dx], p);
        }
    }
  });
}

int64_t sites_of(const Request& q) { return int64_t(q.height) * q.width; }

// The lowest place of each state's sites: sums from there hold what is needed to sum from any of their places.
std::vector<int64_t> lowest_places(const Request& q, const int64_t* place) {
  std::vector<int64_t> out(q.states);
  for (int64_t b = 0; b < q.states; ++b) out[b] = *std::min_element(place + b * sites_of(q), place + (b + 1) * sites_of(q));
  return out;
}

bool within_reach(const Sums& sums, int64_t score, int64_t span) {
  return *sums.place == kNoPlace || place_of(score, span) > *sums.place - kSlices;
}

void run_whole(const Request& q, Sums& sums) {
  const Corpus& k = q.problem.corpus;
  const int64_t sites = sites_of(q);
  const int32_t quantities = int32_t(2 + sites * k.channels);
  const std::vector<int64_t> from = lowest_places(q, sums.place);
  // Of each thread that has worked, for each state.
  std::vector<std::vector<std::unique_ptr<OwnedSums>>> parts(q.threads);
  each_whole(q, [&](int32_t thread, int64_t, int64_t b, int, int, int64_t score, const Picture& p) {
    auto& mine = parts[thread];
    if (mine.empty())
      for (int64_t place : from) mine.push_back(std::make_unique<OwnedSums>(std::vector{place}, quantities));
    Sums& into = mine[b]->sums;
    if (within_reach(into, score, q.problem.span)) add(into, weight_of(q.problem, score), p);
  });
  for (int64_t b = 0; b < q.states; ++b) {
    OwnedSums all(std::vector{from[b]}, quantities);
    for (auto& part : parts)
      if (!part.empty()) merge(all.sums, part[b]->sums);
    share_out(all.sums, k.channels, sums.quantities > 1 + k.channels,
              {sites, sums.quantities, sums.place + b * sites, sums.slices + b * sites * sums.quantities * kSlices});
  }
}

bool run_whole_items(const Request& q, const int64_t* place, int32_t quantities, int64_t* slices) {
  const Corpus& k = q.problem.corpus;
  const int64_t sites = sites_of(q);
  const std::vector<int64_t> from = lowest_places(q, place);
  const int32_t channels = quantities > 1 ? k.channels : 0;
  const int shifts = q.shifts ? int(sites) : 1;
  std::vector<std::unique_ptr<OwnedSums>> parts(q.threads);
  std::vector<std::vector<int64_t>> places(q.threads);
  std::atomic<bool> fits{true};
  each_whole(q, [&](int32_t thread, int64_t item, int64_t b, int dy, int dx, int64_t score, const Picture& p) {
    const int shift = dy * q.width + dx;
    if (shift == 0) parts[thread] = std::make_unique<OwnedSums>(std::vector{from[b]}, int32_t(2 + sites * channels));
    Sums& into = parts[thread]->sums;
    if (within_reach(into, score, q.problem.span)) add(into, weight_of(q.problem, score), p);
    if (shift + 1 < shifts) return;
    std::vector<int64_t>& mine = places[thread];
    mine.assign(place + b * sites, place + (b + 1) * sites);
    share_out(into, channels, false, {sites, quantities, mine.data(), slices + (item * q.states + b) * sites * quantities * kSlices});
    if (!std::equal(mine.begin(), mine.end(), place + b * sites)) fits = false;
  });
  return fits;
}

// One list of sources for each site of each state, of each thread that has worked.
struct Lists {
  std::vector<Source> sources;
  std::vector<int32_t> kept;

  void begin(const Request& q) {
    if (!kept.empty()) return;
    sources.resize(q.states * sites_of(q) * q.keep);
    kept.assign(q.states * sites_of(q), 0);
  }
};

void list_whole(const Request& q, std::vector<Lists>& lists) {
  each_whole(q, [&](int32_t thread, int64_t item, int64_t b, int dy, int dx, int64_t score, const Picture&) {
    Lists& mine = lists[thread];
    mine.begin(q);
    const int64_t first = b * sites_of(q);
    // The sites' lists hold the same scores of the same items, so what is worse than the last of one is so at all.
    if (mine.kept[first] == q.keep) {
      const Source& worst = mine.sources[(first + 1) * q.keep - 1];
      if (score < worst.score || (score == worst.score && item > worst.item)) return;
    }
    for (int32_t y = 0; y < q.height; ++y)
      for (int32_t x = 0; x < q.width; ++x) {
        const int64_t site = first + int64_t(y) * q.width + x;
        enlist(mine.sources.data() + site * q.keep, mine.kept[site], q.keep, {score, item, (y + dy) % q.height, (x + dx) % q.width});
      }
  });
}

}  // namespace

void run(const Request& q, Sums& sums) {
  std::fill_n(sums.slices, sums.sites * sums.quantities * kSlices, 0);
  if (q.rects.empty()) return run_whole(q, sums);
  const int64_t sites = sites_of(q);
  std::vector<std::unique_ptr<OwnedSums>> parts(q.threads);  // of each thread that has worked
  sweep_all(q, [&](int32_t thread, Sweep& s, int64_t state) {
    if (!parts[thread]) parts[thread] = std::make_unique<OwnedSums>(std::vector(sums.place, sums.place + sums.sites), sums.quantities);
    const Sums& all = parts[thread]->sums;
    s.sums = {sites, all.quantities, all.place + state * sites, all.slices + state * sites * all.quantities * kSlices};
    s.skip = q.skip ? q.skip + state * sites : nullptr;
  });
  for (auto& part : parts)
    if (part) merge(sums, part->sums);
  for (int64_t i = 0; i < sums.sites; ++i) centre(sums.slices + i * sums.quantities * kSlices, q.problem.corpus.channels);
}

bool run_items(const Request& q, const int64_t* place, int32_t quantities, int64_t* slices) {
  const int64_t sites = sites_of(q), per_item = q.states * sites * quantities * kSlices;
  parallel(q.threads, q.problem.corpus.items, [&](int32_t, int64_t item) { std::fill_n(slices + item * per_item, per_item, 0); });
  if (q.rects.empty()) return run_whole_items(q, place, quantities, slices);
  std::vector<int64_t> places(place, place + q.states * sites);
  std::atomic<bool> fits{true};
  const int32_t lanes = q.target->lanes;
  sweep_all(
      q,
      [&](int32_t, Sweep& s, int64_t state) { s.sums = {sites, quantities, places.data() + state * sites, nullptr}; }, quantities,
      [&](int32_t, Sweep& s, int64_t state) {
        if (s.above) fits = false;
        const Block& b = *s.block;
        const Rect& r = *b.rect;
        const int32_t span = r.sx1 - r.sx0, terms = quantities * kSlices;
        for (int32_t l = 0; l < b.items * b.strips; ++l)
          for (int32_t row = s.row_begin; row < s.row_end; ++row)
            for (int32_t x = 0; x < span; ++x) {
              const int64_t* from = s.lanes + (int64_t(row - s.row_begin) * span + x) * terms * lanes + l;
              const int64_t site = int64_t(r.sy0 + row) * q.width + r.sx0 + x;
              int64_t* to = slices + (b.first + l / b.strips) * per_item + (state * sites + site) * terms;
              for (int32_t t = 0; t < terms; ++t) to[t] += from[t * lanes];
              if (l % b.strips == b.strips - 1) centre(to, quantities - 1);
            }
      });
  return fits;
}

void run_sources(const Request& q, Source* sources, int32_t* kept) {
  const int64_t sites = sites_of(q), all = q.states * sites;
  std::vector<Lists> lists(q.threads);
  if (q.rects.empty())
    list_whole(q, lists);
  else
    sweep_all(q, [&](int32_t thread, Sweep& s, int64_t state) {
      lists[thread].begin(q);
      s.keep = q.keep;
      s.sources = lists[thread].sources.data() + state * sites * q.keep;
      s.kept = lists[thread].kept.data() + state * sites;
    });
  parallel(q.threads, all, [&](int32_t, int64_t site) {
    std::vector<Source> found;
    for (const Lists& part : lists)
      if (!part.kept.empty())
        found.insert(found.end(), part.sources.begin() + site * q.keep, part.sources.begin() + site * q.keep + part.kept[site]);
    std::sort(found.begin(), found.end(), before);
    kept[site] = int32_t(std::min<size_t>(found.size(), q.keep));
    std::copy_n(found.begin(), kept[site], sources + site * q.keep);
  });
}

}  // namespace smalti
