// Cuts a problem into tasks, runs them on threads, and adds up what they find.
#pragma once

#include <vector>

#include "problem.hpp"

namespace smalti {

struct Request {
  Problem problem;
  int64_t states;
  int32_t height, width;                 // of a state, without padding
  const int16_t* padded;                 // (states, height + 2 half, width + 2 half, channels); whole machines: no padding
  const Exclusion* exclusions;           // one for each state
  std::vector<Rect> rects;               // empty for whole-image machines
  int32_t shifts;                        // whole-image machines: every circular shift, or none
  int32_t keep;                          // list this many sources at each site instead of summing (0: sum)
  int32_t threads;
  const Target* target;
};

// Sums over all states' sites: site = (state * height + y) * width + x. Whole-image machines put the same weight at each site.
// `sums.place` says from which place on to sum (kNoPlace: found here); the places found are written back.
void run(const Request& request, Sums& sums);

// The `keep` best sources of each site, and how many there are.
void run_sources(const Request& request, Source* sources, int32_t* kept);

}  // namespace smalti
