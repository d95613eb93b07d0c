// The kernel as seen from Python: arrays in, arrays out. Values are checked before they come here, by
// smalti/engine/query.py and native.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "bind_text.hpp"
#include "engine.hpp"
#include "targets.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class T, class... Shape>
using In = nb::ndarray<const T, Shape..., nb::c_contig, nb::device::cpu>;
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

const smalti::Target* find_target(const std::string& name) {
  for (const smalti::Target* t : smalti::usable_targets())
    if (name == t->name) return t;
  throw std::invalid_argument("this processor or build has no kernel named " + name);
}

smalti::Request make_request(const In<uint8_t, nb::ndim<4>>& images, const In<int16_t, nb::ndim<4>>& padded, const In<int32_t, nb::shape<-1, 10>>& rects, int half,
                             double signal, int64_t span, float rate, bool shifts, int keep, int threads, const std::string& target) {
  smalti::Request q{};
  q.problem.corpus = {images.data(), int64_t(images.shape(0)), int32_t(images.shape(1)), int32_t(images.shape(2)), int32_t(images.shape(3))};
  q.problem.half = half;
  q.problem.signal = signal;
  q.problem.span = span;
  q.problem.rate = rate;
  q.states = int64_t(padded.shape(0));
  q.height = int32_t(padded.shape(1)) - 2 * half;
  q.width = int32_t(padded.shape(2)) - 2 * half;
  q.padded = padded.data();
  static_assert(sizeof(smalti::Exclusion) == 32 && sizeof(smalti::Rect) == 40);
  const auto* r = reinterpret_cast<const smalti::Rect*>(rects.data());
  q.rects.assign(r, r + rects.shape(0));
  q.shifts = shifts;
  q.keep = keep;
  q.threads = threads;
  q.target = find_target(target);
  return q;
}

std::vector<smalti::Exclusion> make_exclusions(const In<int64_t, nb::shape<-1, 5>>& rows) {
  std::vector<smalti::Exclusion> out(rows.shape(0));
  for (size_t i = 0; i < rows.shape(0); ++i) {
    const int64_t* e = rows.data() + 5 * i;
    out[i] = {e[0], e[1], int32_t(e[2]), int32_t(e[3]), int32_t(e[4])};
  }
  return out;
}

}  // namespace

NB_MODULE(_kernel, m) {
  m.doc() = "Compiled core of smalti.engine.native.";
  m.def("targets", [] {
    std::vector<std::tuple<std::string, int>> out;
    for (const smalti::Target* t : smalti::usable_targets()) out.emplace_back(t->name, t->lanes);
    return out;
  });

  m.def(
      "sums",
      [](In<uint8_t, nb::ndim<4>> images, In<int16_t, nb::ndim<4>> padded, In<int64_t, nb::shape<-1, 5>> exclusions,
         In<int32_t, nb::shape<-1, 10>> rects, int half, double signal, int64_t span, float rate, bool shifts, bool spread,
         In<int64_t, nb::ndim<3>> start, std::optional<In<int64_t, nb::ndim<3>>> skip, int threads, const std::string& target) {
        auto q = make_request(images, padded, rects, half, signal, span, rate, shifts, 0, threads, target);
        const auto out_of = make_exclusions(exclusions);
        q.exclusions = out_of.data();
        q.skip = skip ? skip->data() : nullptr;
        const size_t b = size_t(q.states), h = size_t(q.height), w = size_t(q.width);
        const size_t quantities = 1 + size_t(q.problem.corpus.channels) + (spread ? 1 : 0);
        int64_t *place, *slices;
        auto places = make<int64_t>({b, h, w}, place);
        auto all = make<int64_t>({b, h, w, quantities, size_t(smalti::kSlices)}, slices);
        std::copy_n(start.data(), b * h * w, place);
        {
          nb::gil_scoped_release free;
          smalti::Sums sums{int64_t(b * h * w), int32_t(quantities), place, slices};
          smalti::run(q, sums);
        }
        return std::make_tuple(places, all);
      },
      "images"_a, "padded"_a, "exclusions"_a, "rects"_a, "half"_a, "signal"_a, "span"_a, "rate"_a, "shifts"_a, "spread"_a, "start"_a,
      "skip"_a.none(), "threads"_a, "target"_a);

  m.def(
      "item_sums",
      [](In<uint8_t, nb::ndim<4>> images, In<int16_t, nb::ndim<4>> padded, In<int64_t, nb::shape<-1, 5>> exclusions,
         In<int32_t, nb::shape<-1, 10>> rects, int half, double signal, int64_t span, float rate, bool shifts, bool pixels,
         In<int64_t, nb::ndim<3>> start, int threads, const std::string& target) {
        auto q = make_request(images, padded, rects, half, signal, span, rate, shifts, 0, threads, target);
        const auto out_of = make_exclusions(exclusions);
        q.exclusions = out_of.data();
        const size_t quantities = pixels ? 1 + size_t(q.problem.corpus.channels) : 1;
        int64_t* slices;
        auto all = make<int64_t>({images.shape(0), size_t(q.states), size_t(q.height), size_t(q.width), quantities, size_t(smalti::kSlices)}, slices);
        bool fits;
        {
          nb::gil_scoped_release free;
          fits = smalti::run_items(q, start.data(), int32_t(quantities), slices);
        }
        return std::make_tuple(fits, all);
      },
      "images"_a, "padded"_a, "exclusions"_a, "rects"_a, "half"_a, "signal"_a, "span"_a, "rate"_a, "shifts"_a, "pixels"_a, "start"_a, "threads"_a,
      "target"_a);

  m.def(
      "sources",
      [](In<uint8_t, nb::ndim<4>> images, In<int16_t, nb::ndim<4>> padded, In<int64_t, nb::shape<-1, 5>> exclusions,
         In<int32_t, nb::shape<-1, 10>> rects, int half, double signal, int64_t span, float rate, bool shifts, int keep, int threads,
         const std::string& target) {
        auto q = make_request(images, padded, rects, half, signal, span, rate, shifts, keep, threads, target);
        const auto out_of = make_exclusions(exclusions);
        q.exclusions = out_of.data();
        const size_t b = size_t(q.states), h = size_t(q.height), w = size_t(q.width), k = size_t(keep);
        int32_t* kept;
        int64_t* rows;
        auto counts = make<int32_t>({b, h, w}, kept);
        auto all = make<int64_t>({b, h, w, k, 4}, rows);
        {
          nb::gil_scoped_release free;
          std::vector<smalti::Source> found(b * h * w * k);
          smalti::run_sources(q, found.data(), kept);
          for (size_t i = 0; i < found.size(); ++i) {
            const smalti::Source& s = found[i];
            const int64_t row[4] = {s.score, s.item, s.y, s.x};
            std::copy(row, row + 4, rows + 4 * i);
          }
        }
        return std::make_tuple(counts, all);
      },
      "images"_a, "padded"_a, "exclusions"_a, "rects"_a, "half"_a, "signal"_a, "span"_a, "rate"_a, "shifts"_a, "keep"_a, "threads"_a,
      "target"_a);

  bind_text(m);
}
