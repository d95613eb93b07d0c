// Runs the kernel's instruction sets on eighty small problems of pictures, twenty of which need scores of 64 bits, and on problems of text (text.cpp), and
// prints checksums of all results for each of them.
// Built for two processors it shows whether they agree: see check.sh.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "check.hpp"
#include "engine.hpp"
#include "targets.hpp"

using namespace smalti;

namespace {

void run_case(int c, const Target* target, Random& random, Checksum& sum) {
  const int channels[] = {1, 3, 4};
  const double signals[] = {.05, .5, .9, .999};
  const bool whole = c % 10 == 9, wide = c >= 60;
  const int C = wide ? 4 : channels[c % 3], h = whole ? 0 : wide ? 17 : (c / 3) % 4, N = 1 + c % 21, B = 2;
  const int H = wide ? 40 : 8 + c % 5, W = (wide ? 40 : 9) + c % 7;
  const int reach = wide ? 65535 : 24000;  // of the states' values
  const double a = signals[c % 4];
  const int64_t span = std::llrint(15 * 0.6931471805599453 * 4080 * 255 * (1 - a * a) / a);
  std::vector<uint8_t> pixels(size_t(N) * H * W * C);
  for (auto& p : pixels) p = c % 2 ? uint8_t(random()) : (random() & 1 ? 255 : 0);
  std::vector<int16_t> states(size_t(B) * (H + 2 * h) * (W + 2 * h) * C);
  for (auto& x : states) x = int16_t(int(random() % reach) - reach / 2);
  std::vector<Exclusion> exclusions(B, Exclusion{0, 0, 0, 0, 0});
  if (c % 4 == 1 && !whole) exclusions[1] = {0, 0, 1, 0, 2};
  if (c % 4 == 2 && N > 2) exclusions[0] = {1, 2, 0, 0, 0};

  Request q{};
  q.problem = {{pixels.data(), N, H, W, C}, h, a, span, float(15.0 / double(span))};
  q.states = B;
  q.height = H;
  q.width = W;
  q.padded = states.data();
  q.exclusions = exclusions.data();
  q.shifts = whole && c % 20 == 9;
  q.threads = 2;
  q.target = target;
  if (!whole) {
    q.rects.push_back({h, H - h, h, W - h, h, H - h, h, W - h, 0, 0});
    if (h) q.rects.push_back({0, h, h, W - h, 0, h, h, W - h, 1, 0});
    if (h) q.rects.push_back({0, h, 0, h, 0, h, 0, h, 1, 1});
  }
  std::vector<int64_t> skip(size_t(B) * H * W, -1);
  for (size_t i = 0; i < skip.size(); i += 3) skip[i] = random() % N;
  if (c % 2 && !whole) q.skip = skip.data();
  const int quantities = 1 + C + c % 2;
  std::vector<int64_t> place(size_t(B) * H * W, kNoPlace), slices(place.size() * quantities * kSlices);
  Sums sums{int64_t(place.size()), quantities, place.data(), slices.data()};
  run(q, sums);
  for (int64_t v : place) sum.add(v);
  for (int64_t v : slices) sum.add(v);
  q.skip = nullptr;
  std::fill(place.begin(), place.end(), kNoPlace);
  run(q, sums);
  const int own = c % 2 ? 1 : 1 + C;
  std::vector<int64_t> items(size_t(N) * place.size() * own * kSlices);
  sum.add(run_items(q, place.data(), own, items.data()));
  for (int64_t v : items) sum.add(v);
  q.keep = 5;
  std::vector<Source> sources(place.size() * 5);
  std::vector<int32_t> kept(place.size());
  run_sources(q, sources.data(), kept.data());
  for (size_t i = 0; i < kept.size(); ++i)
    for (int j = 0; j < kept[i]; ++j) {
      const Source& s = sources[i * 5 + j];
      for (int64_t v : {s.score, s.item, int64_t(s.y), int64_t(s.x)}) sum.add(v);
    }
}

}  // namespace

int main() {
  for (const Target* target : usable_targets()) {
    Random random;
    Checksum sum;
    for (int c = 0; c < 80; ++c) run_case(c, target, random, sum);
    Checksum of_text;
    check_text(target->name, of_text);
    std::printf("%-7s pictures %016llx text %016llx\n", target->name, static_cast<unsigned long long>(sum.value), static_cast<unsigned long long>(of_text.value));
  }
}
