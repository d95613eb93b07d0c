// Text: what is asked of a corpus of symbols, and the integers that answer it.
//
// A wanted site of the state is described by terms: the symbol known at some offset from it. A place of the corpus earns a score
//     S = sum over the terms of score[term] where the corpus holds the same symbol at that offset      (matches), or
//     S = sum over the terms of table[row of the term][symbol that the corpus holds at that offset]    (substitutions),
// and the score has a weight in places and halves as for pictures (problem.hpp). Or the terms stand on the rungs of a ladder, and the
// depth of a place is the number of rungs, from the first on, all of whose terms it matches.
#pragma once

#include <cstdint>
#include <vector>

#include "problem.hpp"

namespace smalti {

constexpr int64_t kTextBlock = 4096;  // places scored at a time
constexpr int64_t kTextSlack = 128;   // symbols past the end of a block that may be read

// Symbols of all documents, with gaps of the symbol `vocabulary` around and between them, wider than any offset of a term; kTextSlack
// more gap symbols follow the last gap.
struct TextCorpus {
  const void* symbols;
  int32_t bytes;       // of a symbol: 1, 2 or 4
  int32_t vocabulary;
  int64_t count;       // places, without the last kTextSlack
};

struct TextTerm {
  int32_t offset, symbol;  // substitutions: the row of the table
  int32_t value;           // matches: what it earns; ladder: its rung, ascending
};

// What places are added up under: their own symbol, or the number of their document (in gaps: `count`).
struct TextKeys {
  const int32_t* of;  // null: symbols
  int64_t count;
};

struct TextRequest {
  TextCorpus corpus;
  int64_t begin, end;        // places looked at
  int64_t sites;
  int32_t radius;            // no offset is larger
  const int64_t* first;      // terms of site i are [first[i], first[i + 1])
  const TextTerm* terms;
  const int32_t* table;      // substitutions: rows of vocabulary + 1; null: matches
  const int64_t* excluded;   // for each site, places [begin, end) that may not serve it
  const int32_t* only;       // for each site, the symbol that a place must hold to count, -1: any
  int64_t largest;           // no score is higher
  int64_t span;              // score units in a place
  float rate;                // 15 / span
  int32_t threads;
  const struct TextTarget* target;
};

// For each site: the highest place, and the sums [key][slice]; and, if wanted, of the weight times 4096 log2 of it above its place.
struct TextSums {
  TextKeys keys;
  int64_t* place;
  int64_t* slices;
  int64_t* spread;  // [slice]; null: not wanted
};

struct TextSource {
  int64_t score, place;
};

// Sites [first, last) over places [begin, end), for one thread.
struct TextTask {
  const TextRequest* request;
  int64_t site_begin, site_end;
  int64_t begin, end;
  void* staged;   // scratch: kTextBlock + 2 radius + 2 kTextSlack symbols
  void* scores;   // scratch: kTextBlock + kTextSlack scores
};

// The weight of a score, its base-2 logarithm above its place in steps of 1/4096, and its place.
struct TextWeight {
  uint32_t weight;
  uint16_t log2;
  uint16_t place;  // scores are not negative, and a place has at least 15 units, so 16-bit scores have no higher ones
};

// Where a task puts what it finds.
struct TextWeigher {
  TextKeys keys;
  int64_t* place;          // for each site of the task
  int64_t* slots;          // [site][key + 1][4]: what is dropped, then the slices; the last key is for gaps
  int64_t* spread;         // [site][4], or null
  const TextWeight* of;    // each score; 16-bit scores only
};

struct TextKeeper {
  int64_t keep;
  TextSource* sources;  // [site][keep], best first
  int64_t* kept;        // [site]
};

struct TextCounter {
  TextKeys keys;
  int64_t* counts;  // [site][largest][key + 1], places by their score, from score 1 on; the last key is for gaps
};

// Postings: places in order of their symbol, and where each symbol's begin. May be absent (null).
struct TextIndex {
  const int32_t* places;
  const int64_t* first;
};

struct TextDepths {
  TextKeys keys;
  TextIndex index;
  int32_t rungs;
  int64_t* counts;  // [site][rungs][key + 1], places of depth 1 and more by their depth; the last key is for gaps
  int64_t keep;     // deepest sources to list, 0: none
  TextSource* sources;
  int64_t* kept;
};

// Terms are told apart one by one up to this many, those with values below it, ascending from 0: a place has a bit for each. Terms with higher
// values, in their order, come after all of these, and are looked at where all of these agree.
constexpr int32_t kNearTerms = 8;

// Where a task counts places by what they agree with. The symbols have one byte.
struct TextPatternCounter {
  int64_t rows, near_rows;
  const int64_t* pairs;  // null: places that agree with one term are counted too
  uint32_t* counts;      // [site][row][symbol]
};

// The number of places of each symbol by the terms that they agree with.
struct TextPatterns {
  int32_t near, far;     // most terms of a site below kNearTerms, and above
  const int64_t* pairs;  // [distance - 1][symbol before][symbol after], of the whole corpus, if everything may serve; or null
  int64_t* counts;       // [site][row][symbol]: rows by the bits, none for no bit at all; then, from row 2^near on, by how many of
                         // the far terms they agree with as well
};

// One instruction set.
struct TextTarget {
  const char* name;
  void (*weigh)(const TextTask&, TextWeigher&, bool wide);
  void (*list)(const TextTask&, TextKeeper&, bool wide);
  void (*count)(const TextTask&, TextCounter&);
  void (*descend)(const TextTask&, TextDepths&);
  void (*patterns)(const TextTask&, TextPatternCounter&);
};

const TextTarget* find_text_target(const char* name);

// Weights of all sites; `sums.place` says from which place on to sum (kNoPlace: found here).
void run_text(const TextRequest& request, TextSums& sums);

// The best places of each site by score, and how many there are.
void run_text_sources(const TextRequest& request, TextKeeper& best);

// The number of places of each score from 1 on; `request.largest` is small.
void run_text_counts(const TextRequest& request, TextCounter& counter);

// The number of places of each depth from 1 on.
void run_text_depths(const TextRequest& request, TextDepths& depths);

// Counts of patterns.
void run_text_patterns(const TextRequest& request, TextPatterns& patterns);

// How often each symbol stands at some distance before each other one, 1 to `distances`: [distance - 1][before][after], without gaps.
void count_pairs(const TextCorpus& corpus, int32_t distances, int32_t threads, int64_t* counts);

}  // namespace smalti
