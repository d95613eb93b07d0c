#include "engine.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "exp2.hpp"

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
  explicit OwnedSums(const Sums& like)
      : place_(like.place, like.place + like.sites), slices_(like.sites * like.quantities * kSlices, 0),
        sums{like.sites, like.quantities, place_.data(), slices_.data()} {}

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

// Runs work(thread, task) for all tasks on `threads` threads; the first exception is passed on.
void parallel(int32_t threads, int64_t tasks, const std::function<void(int32_t, int64_t)>& work) {
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex guard;
  auto loop = [&](int32_t thread) {
    try {
      for (int64_t task; (task = next.fetch_add(1)) < tasks;) work(thread, task);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(guard);
      if (!failure) failure = std::current_exception();
      next.store(tasks);
    }
  };
  std::vector<std::thread> pool;
  try {
    for (int32_t t = 1; t < threads; ++t) pool.emplace_back(loop, t);
  } catch (const std::system_error&) {
    // The system gives no more threads: those there are do all the work.
  }
  loop(0);
  for (auto& t : pool) t.join();
  if (failure) std::rethrow_exception(failure);
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

Plan plan(const Request& q) {
  Plan out;
  const int64_t items = q.problem.corpus.items;
  const int32_t lanes = q.target->lanes;
  for (const Rect& r : q.rects) {
    const int32_t rows = r.sy1 - r.sy0, wide = r.cx1 - r.cx0;
    int32_t band = rows;  // of state sites in one sweep; fewer cost more, as each sweep has to fill its windows
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
  Buffer pairs, offsets, present, centres, columns, scores, bars, queues;
};

// Runs all sweeps; `begin` says where each puts its results.
using Begin = std::function<void(int32_t thread, Sweep&, int64_t state)>;

void sweep_all(const Request& q, const Begin& begin) {
  const Plan todo = plan(q);
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
    for (int64_t unit = task.unit_begin; unit < task.unit_end; ++unit) {
      const int64_t state = unit / bands;
      const State walked{packed[state].rolling.data(), packed[state].filling.data(), q.width + 2 * h};
      s.state = &walked;
      s.exclusion = &q.exclusions[state];
      s.row_begin = int32_t(unit % bands) * band;
      s.row_end = std::min(s.row_begin + band, r.sy1 - r.sy0);
      begin(thread, s, state);
      q.target->sweep(s, wide);
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

// Sums of a whole-image machine for one state: the same weights for all values of the picture.
struct WholeSums {
  int64_t place = kNoPlace;
  int64_t weight[kSlices] = {}, spread[kSlices] = {};
  std::vector<int64_t> values[kSlices];

  explicit WholeSums(int64_t size, int64_t start) : place(start) {
    for (auto& v : values) v.assign(size, 0);
  }

  void lift(int64_t to) {
    for (int64_t steps = place == kNoPlace ? 0 : std::min<int64_t>(to - place, kSlices); steps > 0; --steps) {
      for (int j = 0; j + 1 < kSlices; ++j) weight[j] = weight[j + 1], spread[j] = spread[j + 1], values[j].swap(values[j + 1]);
      weight[kSlices - 1] = spread[kSlices - 1] = 0;
      std::fill(values[kSlices - 1].begin(), values[kSlices - 1].end(), 0);
    }
    place = to;
  }

  // Rows of `row` values, `step` apart.
  void add(const Weight& w, const int16_t* q, int64_t rows, int64_t row, int64_t step) {
    if (place == kNoPlace || w.place > place) lift(w.place);
    const int64_t top = kSlices - 1 - (place - w.place);
    for (int half = 0; half < 2; ++half) {
      const int64_t j = top - half;
      const int64_t slice = half ? w.lower : w.upper;
      if (j < 0 || slice == 0) continue;
      weight[j] += slice;
      spread[j] += slice * (w.log2 + half * int64_t(kSliceBits * kSpreadScale));
      for (int64_t y = 0; y < rows; ++y)
        for (int64_t i = 0; i < row; ++i) values[j][y * row + i] += slice * q[y * step + i];
    }
  }

  void merge(const WholeSums& other) {
    if (other.place == kNoPlace) return;
    if (place == kNoPlace || other.place > place) lift(other.place);
    for (int64_t j = place - other.place; j < kSlices; ++j) {
      const int64_t to = j - (place - other.place);
      weight[to] += other.weight[j];
      spread[to] += other.spread[j];
      for (size_t i = 0; i < values[to].size(); ++i) values[to][i] += other.values[j][i];
    }
  }
};

void run_whole(const Request& q, Sums& sums) {
  const Corpus& k = q.problem.corpus;
  const int64_t pixels = int64_t(k.height) * k.width, row = int64_t(k.width) * k.channels, size = row * k.height;
  std::vector<std::vector<WholeSums>> parts(q.threads);
  for (auto& part : parts)
    for (int64_t b = 0; b < q.states; ++b) part.emplace_back(size, sums.place[b * pixels]);
  std::vector<Buffer> centred(q.threads), scores(q.threads);
  parallel(q.threads, k.items, [&](int32_t thread, int64_t item) {
    Whole w{};
    w.problem = &q.problem;
    w.item = item;
    w.shifts = q.shifts;
    w.centred = centred[thread].get<int16_t>((q.shifts ? 4 : 1) * size);
    w.scores = scores[thread].get<int64_t>(pixels);
    const int ny = q.shifts ? k.height : 1, nx = q.shifts ? k.width : 1;
    const int64_t step = q.shifts ? 2 * row : row;
    for (int64_t b = 0; b < q.states; ++b) {
      if (item >= q.exclusions[b].item_begin && item < q.exclusions[b].item_end) continue;
      w.state = q.padded + b * size;
      q.target->whole(w);
      WholeSums& into = parts[thread][b];
      for (int dy = 0; dy < ny; ++dy)
        for (int dx = 0; dx < nx; ++dx) {
          const int64_t score = w.scores[dy * nx + dx];
          if (into.place != kNoPlace && place_of(score, q.problem.span) < into.place - (kSlices - 1)) continue;
          into.add(weight_of(q.problem, score), w.centred + dy * step + int64_t(dx) * k.channels, k.height, row, step);
        }
    }
  });
  for (int64_t b = 0; b < q.states; ++b) {
    WholeSums& all = parts[0][b];
    for (int32_t t = 1; t < q.threads; ++t) all.merge(parts[t][b]);
    for (int64_t i = 0; i < pixels; ++i) {
      const int64_t site = b * pixels + i;
      sums.place[site] = all.place;
      int64_t* to = sums.slices + site * sums.quantities * kSlices;
      for (int j = 0; j < kSlices; ++j) {
        to[j] = all.weight[j];
        for (int32_t c = 0; c < k.channels; ++c) to[(1 + c) * kSlices + j] = all.values[j][i * k.channels + c];
        if (sums.quantities > 1 + k.channels) to[(1 + k.channels) * kSlices + j] = all.spread[j];
      }
    }
  }
}

}  // namespace

void run(const Request& q, Sums& sums) {
  std::fill_n(sums.slices, sums.sites * sums.quantities * kSlices, 0);
  if (q.rects.empty()) return run_whole(q, sums);
  const int64_t sites = int64_t(q.height) * q.width;
  std::vector<OwnedSums> parts;
  parts.reserve(q.threads);
  for (int32_t t = 0; t < q.threads; ++t) parts.emplace_back(sums);
  sweep_all(q, [&](int32_t thread, Sweep& s, int64_t state) {
    const Sums& all = parts[thread].sums;
    s.sums = {sites, all.quantities, all.place + state * sites, all.slices + state * sites * all.quantities * kSlices};
  });
  for (auto& part : parts) merge(sums, part.sums);
  // The sweeps weigh the bytes u: from their sums to those of q = 2u - 255.
  for (int64_t i = 0; i < sums.sites; ++i) {
    int64_t* weight = sums.slices + i * sums.quantities * kSlices;
    for (int64_t c = 1; c <= q.problem.corpus.channels; ++c)
      for (int j = 0; j < kSlices; ++j) weight[c * kSlices + j] = 2 * weight[c * kSlices + j] - 255 * weight[j];
  }
}

void run_sources(const Request& q, Source* sources, int32_t* kept) {
  const int64_t sites = int64_t(q.height) * q.width, all = q.states * sites;
  std::vector<std::vector<Source>> lists(q.threads);
  std::vector<std::vector<int32_t>> counts(q.threads);
  for (int32_t t = 0; t < q.threads; ++t) {
    lists[t].resize(all * q.keep);
    counts[t].assign(all, 0);
  }
  sweep_all(q, [&](int32_t thread, Sweep& s, int64_t state) {
    s.keep = q.keep;
    s.sources = lists[thread].data() + state * sites * q.keep;
    s.kept = counts[thread].data() + state * sites;
  });
  parallel(q.threads, all, [&](int32_t, int64_t site) {
    std::vector<Source> found;
    for (int32_t t = 0; t < q.threads; ++t)
      found.insert(found.end(), lists[t].begin() + site * q.keep, lists[t].begin() + site * q.keep + counts[t][site]);
    std::sort(found.begin(), found.end(), before);
    kept[site] = int32_t(std::min<size_t>(found.size(), q.keep));
    std::copy_n(found.begin(), kept[site], sources + site * q.keep);
  });
}

}  // namespace smalti
