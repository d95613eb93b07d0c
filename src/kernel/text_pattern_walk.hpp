// Which of the known symbols around a site a place agrees with, one bit for each: counted by these bits. Included after text_walk.hpp.
//
// Scores and depths of every kind are functions of the bits, so one walk answers for all of them. Bytes lie side by side in the lanes, the bits of
// a place in one of them. Most places agree with one known symbol or none; where it is known beforehand how often that happens, only places
// that agree with two and more are looked at one by one. They are queued first, eight at a time without a branch: how many there are in a word
// cannot be foretold.

namespace smalti::SMALTI_TARGET {

// Of a block: the bits of each place, in words which places are to be counted, and these in rising order.
struct PatternBlock {
  static constexpr int64_t kWord = 64;
  uint8_t pattern[kTextBlock + 4 * kBytes];
  uint64_t wanted[kTextBlock / kWord + 4 * kBytes / kWord];
  uint16_t queue[kTextBlock + 2 * kWord];
};

// Fills patterns and wanted places of `count` places.
SMALTI_INLINE void find_patterns(const TextTerm* begin, const TextTerm* end, const uint8_t* centre, int64_t count, uint8_t gap, bool several, PatternBlock& to) {
  typedef Wide<uint8_t>::Vec Vec;
  constexpr int kSide = 4;  // vectors at a time
  const int64_t words = (count + PatternBlock::kWord - 1) / PatternBlock::kWord;
  std::fill_n(to.wanted, words + kSide * kBytes / PatternBlock::kWord, 0);
  for (int64_t i = 0; i < count; i += kSide * kBytes) {
    Vec pattern[kSide] = {};
    uint8_t bit = 1;
    for (const TextTerm* t = begin; t != end; ++t, bit += bit)
      for (int v = 0; v < kSide; ++v)
        pattern[v] |= (Vec)(load(centre + i + v * kBytes + t->offset) == Vec{} + uint8_t(t->symbol)) & (Vec{} + bit);
    for (int v = 0; v < kSide; ++v) {
      const int64_t from = i + v * kBytes;
      const Vec mine = pattern[v] & (Vec)(load(centre + from) != Vec{} + gap);
      store(to.pattern + from, mine);
      to.wanted[from / PatternBlock::kWord] |= bits_of((Vec)((several ? mine & (mine - 1) : mine) != Vec{})) << (from % PatternBlock::kWord);
    }
  }
  if (count % PatternBlock::kWord) to.wanted[words - 1] &= (uint64_t{1} << (count % PatternBlock::kWord)) - 1;
}

// Puts wanted places into the queue; how many there are.
SMALTI_INLINE int64_t queue_places(int64_t count, PatternBlock& to) {
  int64_t queued = 0;
  for (int64_t word = 0; word * PatternBlock::kWord < count; ++word) {
    uint64_t set = to.wanted[word];
    const int many = std::popcount(set);
    for (int k = 0; k < many; k += 8)
      for (int j = 0; j < 8; ++j, set &= set - 1) to.queue[queued + k + j] = uint16_t(word * PatternBlock::kWord + (std::countr_zero(set) & 63));
    queued += many;
  }
  return queued;
}

void patterns(const TextTask& task, TextPatternCounter& to) {
  const TextRequest& q = *task.request;
  const int64_t vocabulary = q.corpus.vocabulary, stride = to.rows * vocabulary;
  PatternBlock block;
  for (int64_t site = task.site_begin; site < task.site_end; ++site) {
    const TextTerm *begin = q.terms + q.first[site], *end = q.terms + q.first[site + 1], *far = begin;
    while (far != end && far->value < kNearTerms) ++far;
    if (far == begin) continue;
    const int all = (1 << (far - begin)) - 1, beyond = far == end ? -1 : all;
    const int64_t excluded = q.excluded[2 * site], until = q.excluded[2 * site + 1];
    const int32_t only = q.only[site];
    uint32_t* counts = to.counts + (site - task.site_begin) * stride;
    for (int64_t base = task.begin; base < task.end; base += kTextBlock) {
      const int64_t count = std::min(kTextBlock, task.end - base);
      const uint8_t* centre = stage<uint8_t>(q.corpus, base - q.radius, count + 2 * q.radius + kTextSlack + 4 * kBytes, static_cast<uint8_t*>(task.staged)) + q.radius;
      find_patterns(begin, far, centre, count, uint8_t(vocabulary), to.pairs != nullptr, block);
      if (only >= 0 || (excluded < until && excluded < base + count && base < until))
        for (int64_t i = 0; i < count; ++i)
          if ((base + i >= excluded && base + i < until) || (only >= 0 && centre[i] != only))
            block.wanted[i / PatternBlock::kWord] &= ~(uint64_t{1} << (i % PatternBlock::kWord));
      const int64_t queued = queue_places(count, block);
      for (int64_t k = 0; k < queued; ++k) {
        const int64_t i = block.queue[k];
        const int pattern = block.pattern[i];
        int64_t row = pattern;
        if (pattern == beyond) {
          const TextTerm* t = far;
          while (t != end && centre[i + t->offset] == t->symbol) ++t;
          if (t != far) row = to.near_rows + (t - far) - 1;
        }
        ++counts[row * vocabulary + centre[i]];
      }
    }
  }
}

}  // namespace smalti::SMALTI_TARGET
