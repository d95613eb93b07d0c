// The text kernel as seen from Python. Values are checked before they come here, by smalti/engine/text_query.py and text.py.
#include "bind_text.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "../kernel/text.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class T, class... Shape>
using In = nb::ndarray<const T, Shape..., nb::c_contig, nb::device::cpu>;
using Symbols = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<nb::numpy, T>;

template <class T>
Out<T> make(std::vector<size_t> shape, T*& data) {
  size_t n = 1;
  for (size_t s : shape) n *= s;
  data = new T[n];
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return Out<T>(data, shape.size(), shape.data(), owner);
}

using Places = std::tuple<int64_t, int64_t>;
using Terms = In<int32_t, nb::shape<-1, 3>>;
using Pairs = In<int64_t, nb::shape<-1, 2>>;
using List = In<int64_t, nb::ndim<1>>;
using Numbers = In<int32_t, nb::ndim<1>>;
using Table = std::optional<In<int32_t, nb::ndim<2>>>;
using Documents = std::optional<Numbers>;

smalti::TextRequest make_request(const Symbols& symbols, int vocabulary, Places places, int radius, const List& first, const Terms& terms, const Pairs& excluded,
                                 const Numbers& only, int threads, const std::string& target) {
  static_assert(sizeof(smalti::TextTerm) == 12);
  smalti::TextRequest q{};
  q.corpus = {symbols.data(), int32_t(symbols.itemsize()), vocabulary, int64_t(symbols.shape(0)) - smalti::kTextSlack};
  q.begin = std::get<0>(places);
  q.end = std::get<1>(places);
  q.sites = int64_t(first.shape(0)) - 1;
  q.radius = radius;
  q.first = first.data();
  q.terms = reinterpret_cast<const smalti::TextTerm*>(terms.data());
  q.excluded = excluded.data();
  q.only = only.data();
  q.threads = threads;
  q.target = smalti::find_text_target(target.c_str());
  if (!q.target) throw std::invalid_argument("this build has no text kernel named " + target);
  return q;
}

void set_scores(smalti::TextRequest& q, const Table& table, int64_t largest, int64_t span, float rate) {
  q.table = table ? table->data() : nullptr;
  q.largest = largest;
  q.span = span;
  q.rate = rate;
}

smalti::TextKeys keys_of(const Documents& documents, int64_t count) { return {documents ? documents->data() : nullptr, count}; }

Out<int64_t> list_of(const std::vector<smalti::TextSource>& found, size_t sites, size_t keep) {
  int64_t* rows;
  auto out = make<int64_t>({sites, keep, 2}, rows);
  for (size_t i = 0; i < found.size(); ++i) {
    rows[2 * i] = found[i].score;
    rows[2 * i + 1] = found[i].place;
  }
  return out;
}

}  // namespace

void bind_text(nb::module_& m) {
  m.attr("TEXT_SLACK") = smalti::kTextSlack;
  m.attr("TEXT_NEAR") = smalti::kNearTerms;

  m.def(
      "text_sums",
      [](Symbols symbols, int vocabulary, Places places, int radius, List first, Terms terms, Pairs excluded, Numbers only, int threads, const std::string& target,
         Table table, int64_t largest, int64_t span, float rate, Documents documents, int64_t keys, bool spread, List start) {
        auto q = make_request(symbols, vocabulary, places, radius, first, terms, excluded, only, threads, target);
        set_scores(q, table, largest, span, rate);
        const size_t sites = size_t(q.sites);
        int64_t *place, *slices, *more;
        auto found = make<int64_t>({sites}, place);
        auto all = make<int64_t>({sites, size_t(keys), size_t(smalti::kSlices)}, slices);
        auto spreads = make<int64_t>({sites, size_t(smalti::kSlices)}, more);
        std::copy_n(start.data(), sites, place);
        {
          nb::gil_scoped_release free;
          smalti::TextSums sums{keys_of(documents, keys), place, slices, spread ? more : nullptr};
          smalti::run_text(q, sums);
        }
        return std::make_tuple(found, all, spreads);
      },
      "symbols"_a, "vocabulary"_a, "places"_a, "radius"_a, "first"_a, "terms"_a, "excluded"_a, "only"_a, "threads"_a, "target"_a, "table"_a.none(), "largest"_a,
      "span"_a, "rate"_a, "documents"_a.none(), "keys"_a, "spread"_a, "start"_a);

  m.def(
      "text_sources",
      [](Symbols symbols, int vocabulary, Places places, int radius, List first, Terms terms, Pairs excluded, Numbers only, int threads, const std::string& target,
         Table table, int64_t largest, int64_t span, float rate, int64_t keep) {
        auto q = make_request(symbols, vocabulary, places, radius, first, terms, excluded, only, threads, target);
        set_scores(q, table, largest, span, rate);
        const size_t sites = size_t(q.sites);
        int64_t* kept;
        auto counts = make<int64_t>({sites}, kept);
        std::vector<smalti::TextSource> found(sites * size_t(keep));
        {
          nb::gil_scoped_release free;
          smalti::TextKeeper best{keep, found.data(), kept};
          smalti::run_text_sources(q, best);
        }
        return std::make_tuple(counts, list_of(found, sites, size_t(keep)));
      },
      "symbols"_a, "vocabulary"_a, "places"_a, "radius"_a, "first"_a, "terms"_a, "excluded"_a, "only"_a, "threads"_a, "target"_a, "table"_a.none(), "largest"_a,
      "span"_a, "rate"_a, "keep"_a);

  m.def(
      "text_counts",
      [](Symbols symbols, int vocabulary, Places places, int radius, List first, Terms terms, Pairs excluded, Numbers only, int threads, const std::string& target,
         int64_t largest, Documents documents, int64_t keys) {
        auto q = make_request(symbols, vocabulary, places, radius, first, terms, excluded, only, threads, target);
        set_scores(q, {}, largest, 1, 0.0f);
        int64_t* counts;
        auto all = make<int64_t>({size_t(q.sites), size_t(largest), size_t(keys) + 1}, counts);
        {
          nb::gil_scoped_release free;
          smalti::TextCounter counter{keys_of(documents, keys), counts};
          smalti::run_text_counts(q, counter);
        }
        return all;
      },
      "symbols"_a, "vocabulary"_a, "places"_a, "radius"_a, "first"_a, "terms"_a, "excluded"_a, "only"_a, "threads"_a, "target"_a, "largest"_a,
      "documents"_a.none(), "keys"_a);

  m.def(
      "text_depths",
      [](Symbols symbols, int vocabulary, Places places, int radius, List first, Terms terms, Pairs excluded, Numbers only, int threads, const std::string& target,
         Documents documents, int64_t keys, int rungs, int64_t keep, Documents postings, std::optional<List> posted) {
        auto q = make_request(symbols, vocabulary, places, radius, first, terms, excluded, only, threads, target);
        const size_t sites = size_t(q.sites);
        int64_t *counts, *kept;
        auto all = make<int64_t>({sites, size_t(rungs), size_t(keys) + 1}, counts);
        auto lengths = make<int64_t>({sites}, kept);
        std::vector<smalti::TextSource> found(sites * size_t(keep));
        {
          nb::gil_scoped_release free;
          smalti::TextDepths depths{keys_of(documents, keys), {postings ? postings->data() : nullptr, posted ? posted->data() : nullptr}, rungs, counts, keep,
                                    found.data(), kept};
          smalti::run_text_depths(q, depths);
        }
        return std::make_tuple(all, lengths, list_of(found, sites, size_t(keep)));
      },
      "symbols"_a, "vocabulary"_a, "places"_a, "radius"_a, "first"_a, "terms"_a, "excluded"_a, "only"_a, "threads"_a, "target"_a, "documents"_a.none(), "keys"_a,
      "rungs"_a, "keep"_a, "postings"_a.none(), "posted"_a.none());

  m.def(
      "text_patterns",
      [](Symbols symbols, int vocabulary, Places places, int radius, List first, Terms terms, Pairs excluded, Numbers only, int threads, const std::string& target,
         int near, int far, std::optional<In<int64_t, nb::ndim<3>>> pairs) {
        auto q = make_request(symbols, vocabulary, places, radius, first, terms, excluded, only, threads, target);
        int64_t* counts;
        auto all = make<int64_t>({size_t(q.sites), (size_t(1) << near) + size_t(far), size_t(vocabulary)}, counts);
        {
          nb::gil_scoped_release free;
          smalti::TextPatterns patterns{near, far, pairs ? pairs->data() : nullptr, counts};
          smalti::run_text_patterns(q, patterns);
        }
        return all;
      },
      "symbols"_a, "vocabulary"_a, "places"_a, "radius"_a, "first"_a, "terms"_a, "excluded"_a, "only"_a, "threads"_a, "target"_a, "near"_a, "far"_a,
      "pairs"_a.none());

  m.def(
      "text_pairs",
      [](Symbols symbols, int vocabulary, int distances, int threads) {
        int64_t* counts;
        auto all = make<int64_t>({size_t(distances), size_t(vocabulary), size_t(vocabulary)}, counts);
        {
          nb::gil_scoped_release free;
          smalti::count_pairs({symbols.data(), 1, vocabulary, int64_t(symbols.shape(0)) - smalti::kTextSlack}, distances, threads, counts);
        }
        return all;
      },
      "symbols"_a, "vocabulary"_a, "distances"_a, "threads"_a);
}
