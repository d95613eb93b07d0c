// Small problems of text with symbols of 8, 16 and 32 bits: sums and sources by matches and by a table, counts, depths and patterns.
#include "text.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using namespace smalti;

namespace {

constexpr int32_t kRadius = 9, kSites = 11;
constexpr int64_t kPlaces = 9000;  // more than two blocks, the last one cut short

// A corpus in which symbol 0 to 5 and the last one follow each other at random, often in the same order, with a gap in the middle.
template <class T>
std::vector<T> symbols_for(int32_t vocabulary, Random& random) {
  std::vector<T> symbols(kPlaces + kTextSlack, T(vocabulary));
  for (int64_t i = kRadius; i < kPlaces - kRadius; ++i) {
    const int32_t s = random() % 4 ? int32_t(i % 13 % 6) : int32_t(random() % 6);
    if (i < 5000 || i >= 5000 + kRadius) symbols[i] = T(s == 5 ? vocabulary - 1 : s);
  }
  return symbols;
}

template <class T>
void check_case(int c, int32_t vocabulary, const TextTarget* target, Random& random, Checksum& sum) {
  const std::vector<T> symbols = symbols_for<T>(vocabulary, random);
  std::vector<int64_t> first{0}, excluded(2 * kSites, 0);
  std::vector<TextTerm> scored, rungs;
  std::vector<int32_t> only(kSites, -1);
  const bool wide = c % 3 == 2;
  for (int32_t site = 0; site < kSites; ++site) {
    const int64_t place = kRadius + random() % 4900;
    int32_t rung = 0;
    for (int32_t d = 1; d <= kRadius; ++d) {
      if (random() % 3 == 0) continue;
      const int32_t offset = c % 2 ? -d : d, symbol = int32_t(symbols[place + offset]);
      if (symbol == vocabulary) continue;
      scored.push_back({offset, symbol, int32_t(random() % (wide ? 1 << 20 : 3000))});
      rungs.push_back({offset, symbol, rung});
      ++rung;
    }
    first.push_back(int64_t(scored.size()));
    if (site % 4 == 1) excluded[2 * site] = 100, excluded[2 * site + 1] = 4300;
    if (site % 4 == 2) only[site] = 2;
  }
  TextRequest q{};
  q.corpus = {symbols.data(), int32_t(sizeof(T)), vocabulary, kPlaces};
  q.begin = c % 5 == 4 ? 777 : 0;
  q.end = kPlaces;
  q.sites = kSites;
  q.radius = kRadius;
  q.first = first.data();
  q.terms = scored.data();
  q.excluded = excluded.data();
  q.only = only.data();
  q.largest = kRadius * int64_t(wide ? 1 << 20 : 3000);
  q.span = wide ? 1 << 18 : 3840;
  q.rate = 15.0f / float(q.span);
  q.threads = 2;
  q.target = target;

  std::vector<int32_t> documents(kPlaces, 2);
  for (int64_t i = kRadius; i < kPlaces - kRadius; ++i)
    if (i < 5000 || i >= 5000 + kRadius) documents[i] = i >= 5000;
  const TextKeys by_symbol{nullptr, vocabulary}, by_document{documents.data(), 2};
  std::vector<int32_t> table;
  auto add_sums = [&](TextKeys keys) {
    std::vector<int64_t> place(kSites, kNoPlace), slices(kSites * keys.count * kSlices), spread(kSites * kSlices);
    TextSums sums{keys, place.data(), slices.data(), spread.data()};
    run_text(q, sums);
    for (int64_t v : place) sum.add(v);
    for (int64_t v : slices) sum.add(v);
    for (int64_t v : spread) sum.add(v);
  };
  auto add_sources = [&](const std::vector<TextSource>& sources, const std::vector<int64_t>& kept, int64_t keep) {
    for (size_t i = 0; i < kept.size(); ++i)
      for (int64_t k = 0; k < kept[i]; ++k) sum.add(sources[i * keep + k].score), sum.add(sources[i * keep + k].place);
  };
  constexpr int64_t kKeep = 5;
  std::vector<TextSource> sources(kSites * kKeep);
  std::vector<int64_t> kept(kSites);
  TextKeeper best{kKeep, sources.data(), kept.data()};
  add_sums(by_symbol);
  add_sums(by_document);
  run_text_sources(q, best);
  add_sources(sources, kept, kKeep);
  if (vocabulary < 1000) {
    for (int64_t i = 0; i < int64_t(vocabulary) * (vocabulary + 1); ++i) table.push_back(i % (vocabulary + 1) == vocabulary ? 0 : random() % 3000);
    q.table = table.data();
    add_sums(by_symbol);
    q.table = nullptr;
  }

  std::vector<TextTerm> ones = scored;
  for (TextTerm& t : ones) t.value = 1;
  q.terms = ones.data();
  q.largest = 2 * kRadius + 1;
  std::vector<int64_t> counts(kSites * q.largest * 3);
  TextCounter counter{by_document, counts.data()};
  run_text_counts(q, counter);
  for (int64_t v : counts) sum.add(v);

  q.terms = rungs.data();
  counts.assign(kSites * kRadius * (int64_t(vocabulary) + 1), 0);
  TextDepths depths{by_symbol, {}, kRadius, counts.data(), kKeep, sources.data(), kept.data()};
  run_text_depths(q, depths);
  for (int64_t v : counts) sum.add(v);
  add_sources(sources, kept, kKeep);

  if (sizeof(T) > 1) return;
  int64_t most = 0;
  for (int32_t site = 0; site < kSites; ++site) most = std::max(most, first[site + 1] - first[site]);
  const int32_t few = int32_t(std::min<int64_t>(most, kNearTerms)), far = int32_t(most - few);
  counts.assign(kSites * ((int64_t{1} << few) + far) * vocabulary, 0);
  TextPatterns patterns{few, far, nullptr, counts.data()};
  run_text_patterns(q, patterns);
  for (int64_t v : counts) sum.add(v);
  std::vector<int64_t> pairs(kRadius * int64_t(vocabulary) * vocabulary);
  count_pairs(q.corpus, kRadius, 2, pairs.data());
  for (int64_t v : pairs) sum.add(v);
  if (q.begin > 0) return;
  std::fill(excluded.begin(), excluded.end(), 0);
  std::fill(only.begin(), only.end(), -1);
  patterns.pairs = pairs.data();
  run_text_patterns(q, patterns);
  for (int64_t v : counts) sum.add(v);
}

}  // namespace

void check_text(const char* name, Checksum& sum) {
  const TextTarget* target = find_text_target(name);
  if (!target) throw std::runtime_error("no text kernel of that name");
  Random random;
  for (int c = 0; c < 12; ++c) {
    check_case<uint8_t>(c, c % 4 ? 65 : 255, target, random, sum);
    check_case<uint16_t>(c, c % 4 ? 3000 : 256, target, random, sum);
    if (c < 3) check_case<uint32_t>(c, 70000, target, random, sum);
  }
}
