#include "text.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <mutex>

#include "exp2.hpp"
#include "parallel.hpp"
#include "targets.hpp"

namespace smalti {

extern const TextTarget text_target_plain;
#ifdef SMALTI_X86
extern const TextTarget text_target_avx2;
extern const TextTarget text_target_avx512;
#endif
#ifdef SMALTI_NEON
extern const TextTarget text_target_neon;
#endif

const TextTarget* find_text_target(const char* name) {
  static const TextTarget* const all[] = {
      &text_target_plain,
#ifdef SMALTI_X86
      &text_target_avx2, &text_target_avx512,
#endif
#ifdef SMALTI_NEON
      &text_target_neon,
#endif
  };
  for (const TextTarget* t : all)
    if (!std::strcmp(t->name, name)) return t;
  return nullptr;
}

namespace {

constexpr int64_t kGroup = 8;            // sites of a task: each block is laid out once for all of them
constexpr int64_t kLeastPlaces = 65536;  // of a task, unless there are fewer
constexpr int64_t kPlacesPerNumber = 4;  // looked at in the time that it takes to add up one number
constexpr int64_t kThreadPairs = 1 << 21;  // pairs (site, place) whose patterns take longer than it takes to start a thread

// Runs work(thread, task) over groups of sites and, where these are few, parts of the corpus. `numbers` is what a site's answer holds: to add up
// the answers of parts takes time too.
void over_tasks(const TextRequest& q, int64_t numbers, const std::function<void(int32_t, TextTask&)>& work) {
  const int64_t groups = (q.sites + kGroup - 1) / kGroup, places = q.end - q.begin, wanted = 4 * int64_t(q.threads);
  const int64_t most = std::max<int64_t>(1, places / std::max(kLeastPlaces, kPlacesPerNumber * numbers));
  const int64_t parts = q.threads == 1 ? 1 : std::clamp<int64_t>((wanted + groups - 1) / groups, 1, most);
  struct Scratch {
    std::vector<uint32_t> staged, scores;
  };
  std::vector<Scratch> scratch(q.threads);
  parallel(q.threads, groups * parts, [&](int32_t thread, int64_t index) {
    const int64_t group = index / parts, part = index % parts;
    Scratch& mine = scratch[thread];
    mine.staged.resize(kTextBlock + 2 * q.radius + 2 * kTextSlack);
    mine.scores.resize(kTextBlock + 2 * kTextSlack);
    TextTask task{&q, group * kGroup, std::min(q.sites, (group + 1) * kGroup), q.begin + places * part / parts,
                  q.begin + places * (part + 1) / parts, mine.staged.data(), mine.scores.data()};
    work(thread, task);
  });
}

// Scores of at most 16 bits, and symbols too.
bool is_wide(const TextRequest& q) { return q.largest > UINT16_MAX || q.corpus.vocabulary > UINT16_MAX; }

std::vector<TextWeight> weights_of_scores(const TextRequest& q) {
  std::vector<TextWeight> out(q.largest + 1);
  for (int64_t score = 0; score <= q.largest; ++score) {
    const int64_t place = score / q.span;
    const float f = float(score - place * q.span) * q.rate;
    const int32_t n = int32_t(f);
    const float r = f - float(n);
    float v = kExp2[0];
    for (int i = 1; i < kExp2Terms; ++i) v = v * r + kExp2[i];
    const int32_t w = std::min(int32_t(v * std::bit_cast<float>((n + kSliceBits + 127) << 23)), kLargestWeight);
    out[score] = {uint32_t(w), uint16_t(f * kSpreadScale + 0.5f), uint16_t(place)};
  }
  return out;
}

// Best first: higher score, then lower place.
bool before(const TextSource& a, const TextSource& b) { return a.score != b.score ? a.score > b.score : a.place < b.place; }

void merge_lists(const TextSource* more, int64_t count, TextSource* list, int64_t& kept, int64_t keep) {
  std::vector<TextSource> all(list, list + kept);
  all.insert(all.end(), more, more + count);
  std::sort(all.begin(), all.end(), before);
  kept = std::min<int64_t>(keep, int64_t(all.size()));
  std::copy_n(all.begin(), kept, list);
}

void lift_site(int64_t* slices, int64_t keys, int64_t steps) {
  for (int64_t k = 0; k < keys; ++k, slices += kSlices)
    for (int j = 0; j < kSlices; ++j) slices[j] = steps < kSlices - j ? slices[j + steps] : 0;
}

}  // namespace

void run_text(const TextRequest& q, TextSums& sums) {
  const bool wide = is_wide(q);
  const int64_t keys = sums.keys.count;
  std::fill_n(sums.slices, q.sites * keys * kSlices, 0);
  if (sums.spread) std::fill_n(sums.spread, q.sites * kSlices, 0);
  std::vector<TextWeight> weights;
  if (!wide) weights = weights_of_scores(q);
  std::mutex guard;
  struct Found {
    std::vector<int64_t> place, slots, spread;
  };
  std::vector<Found> found(q.threads);
  std::vector<int64_t> start(sums.place, sums.place + q.sites);
  over_tasks(q, keys * (kSlices + 1), [&](int32_t thread, TextTask& task) {
    Found& mine = found[thread];
    const int64_t sites = task.site_end - task.site_begin;
    mine.place.assign(start.begin() + task.site_begin, start.begin() + task.site_end);
    mine.slots.assign(sites * (keys + 1) * (kSlices + 1), 0);
    mine.spread.assign(sites * (kSlices + 1), 0);
    TextWeigher to{sums.keys, mine.place.data(), mine.slots.data(), sums.spread ? mine.spread.data() : nullptr, weights.data()};
    q.target->weigh(task, to, wide);
    const std::lock_guard<std::mutex> lock(guard);
    for (int64_t i = 0; i < sites; ++i) {
      const int64_t site = task.site_begin + i;
      int64_t& place = sums.place[site];
      int64_t* slices = sums.slices + site * keys * kSlices;
      int64_t* spread = sums.spread ? sums.spread + site * kSlices : nullptr;
      const int64_t at = mine.place[i];
      if (at == kNoPlace) continue;
      if (place == kNoPlace || at > place) {
        const int64_t steps = place == kNoPlace ? kSlices : std::min<int64_t>(at - place, kSlices);
        lift_site(slices, keys, steps);
        if (spread) lift_site(spread, 1, steps);
        place = at;
      }
      const int64_t down = place - at;
      const int64_t* from = mine.slots.data() + i * (keys + 1) * (kSlices + 1);
      for (int64_t k = 0; k < keys; ++k)
        for (int64_t j = down; j < kSlices; ++j) slices[k * kSlices + j - down] += from[k * (kSlices + 1) + j + 1];
      for (int64_t j = down; spread && j < kSlices; ++j) spread[j - down] += mine.spread[i * (kSlices + 1) + j + 1];
    }
  });
}

void run_text_sources(const TextRequest& q, TextKeeper& best) {
  const bool wide = is_wide(q);
  std::fill_n(best.kept, q.sites, 0);
  std::mutex guard;
  over_tasks(q, best.keep, [&](int32_t, TextTask& task) {
    const int64_t sites = task.site_end - task.site_begin;
    std::vector<TextSource> sources(sites * best.keep);
    std::vector<int64_t> kept(sites, 0);
    TextKeeper to{best.keep, sources.data(), kept.data()};
    q.target->list(task, to, wide);
    const std::lock_guard<std::mutex> lock(guard);
    for (int64_t i = 0; i < sites; ++i)
      merge_lists(sources.data() + i * best.keep, kept[i], best.sources + (task.site_begin + i) * best.keep, best.kept[task.site_begin + i], best.keep);
  });
}

void run_text_counts(const TextRequest& q, TextCounter& counter) {
  const int64_t stride = q.largest * (counter.keys.count + 1);
  std::fill_n(counter.counts, q.sites * stride, 0);
  std::mutex guard;
  over_tasks(q, stride, [&](int32_t, TextTask& task) {
    std::vector<int64_t> counts((task.site_end - task.site_begin) * stride, 0);
    TextCounter to{counter.keys, counts.data()};
    q.target->count(task, to);
    const std::lock_guard<std::mutex> lock(guard);
    int64_t* all = counter.counts + task.site_begin * stride;
    for (size_t i = 0; i < counts.size(); ++i) all[i] += counts[i];
  });
}

void run_text_depths(const TextRequest& q, TextDepths& depths) {
  const int64_t row = depths.keys.count + 1, stride = depths.rungs * row;
  std::fill_n(depths.counts, q.sites * stride, 0);
  if (depths.keep) std::fill_n(depths.kept, q.sites, 0);
  std::mutex guard;
  over_tasks(q, stride, [&](int32_t, TextTask& task) {
    const int64_t sites = task.site_end - task.site_begin;
    int64_t* all = depths.counts + task.site_begin * stride;
    const bool alone = task.begin == q.begin && task.end == q.end;  // no other task has these sites
    std::vector<int64_t> counts(alone ? 0 : sites * stride, 0), kept(sites, 0);
    std::vector<TextSource> sources(sites * depths.keep);
    TextDepths to = depths;
    to.counts = alone ? all : counts.data();
    to.sources = sources.data();
    to.kept = kept.data();
    q.target->descend(task, to);
    const std::lock_guard<std::mutex> lock(guard);
    for (size_t i = 0; i < counts.size(); ++i) all[i] += counts[i];
    for (int64_t i = 0; depths.keep && i < sites; ++i)
      merge_lists(sources.data() + i * depths.keep, kept[i], depths.sources + (task.site_begin + i) * depths.keep, depths.kept[task.site_begin + i],
                  depths.keep);
  });
}

void run_text_patterns(const TextRequest& request, TextPatterns& patterns) {
  TextRequest q = request;
  q.threads = int32_t(std::clamp<int64_t>(q.sites * (q.end - q.begin) / kThreadPairs, 1, q.threads));
  const int64_t vocabulary = q.corpus.vocabulary, near_rows = int64_t{1} << patterns.near, rows = near_rows + patterns.far, stride = rows * vocabulary;
  std::fill_n(patterns.counts, q.sites * stride, 0);
  std::mutex guard;
  over_tasks(q, stride, [&](int32_t, TextTask& task) {
    std::vector<uint32_t> counts((task.site_end - task.site_begin) * stride, 0);
    TextPatternCounter to{rows, near_rows, patterns.pairs, counts.data()};
    q.target->patterns(task, to);
    const std::lock_guard<std::mutex> lock(guard);
    int64_t* all = patterns.counts + task.site_begin * stride;
    for (size_t i = 0; i < counts.size(); ++i) all[i] += counts[i];
  });
  if (!patterns.pairs) return;
  // Places that agree with one term alone: those that agree with it, less those that agree with more.
  for (int64_t site = 0; site < q.sites; ++site) {
    int64_t* counts = patterns.counts + site * stride;
    const TextTerm *begin = q.terms + q.first[site], *end = q.terms + q.first[site + 1], *far = begin;
    while (far != end && far->value < kNearTerms) ++far;
    const int64_t own = int64_t{1} << (far - begin);
    for (const TextTerm* t = begin; t != far; ++t) {
      const int64_t bit = int64_t{1} << (t - begin), distance = std::abs(t->offset);
      const int64_t* pairs = patterns.pairs + (distance - 1) * vocabulary * vocabulary;
      int64_t* alone = counts + bit * vocabulary;
      for (int64_t s = 0; s < vocabulary; ++s) alone[s] = t->offset < 0 ? pairs[t->symbol * vocabulary + s] : pairs[s * vocabulary + t->symbol];
      for (int64_t pattern = bit + 1; pattern < own; ++pattern)
        for (int64_t s = 0; pattern & bit && pattern & (pattern - 1) && s < vocabulary; ++s) alone[s] -= counts[pattern * vocabulary + s];
      if (far != end)
        for (int64_t row = near_rows; row < rows; ++row)
          for (int64_t s = 0; s < vocabulary; ++s) alone[s] -= counts[row * vocabulary + s];
    }
  }
}

void count_pairs(const TextCorpus& k, int32_t distances, int32_t threads, int64_t* counts) {
  const auto* symbols = static_cast<const uint8_t*>(k.symbols);
  const int64_t row = k.vocabulary + 1, size = int64_t(k.vocabulary) * k.vocabulary;
  const int64_t parts = std::clamp<int64_t>(k.count / kLeastPlaces, 1, threads);
  std::fill_n(counts, distances * size, 0);
  std::mutex guard;
  parallel(threads, distances * parts, [&](int32_t, int64_t task) {
    const int64_t distance = task / parts + 1, part = task % parts, places = k.count - distance;
    std::vector<uint32_t> own(row * row, 0);
    for (int64_t i = places * part / parts; i < places * (part + 1) / parts; ++i) ++own[symbols[i] * row + symbols[i + distance]];
    const std::lock_guard<std::mutex> lock(guard);
    int64_t* all = counts + (distance - 1) * size;
    for (int64_t before = 0; before < k.vocabulary; ++before)
      for (int64_t after = 0; after < k.vocabulary; ++after) all[before * k.vocabulary + after] += own[before * row + after];
  });
}

}  // namespace smalti
