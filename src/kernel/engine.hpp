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
  const int64_t* skip;                   // at each site of all states an item that may not serve it, or -1; null: none
  int32_t keep;                          // list this many sources at each site instead of summing (0: sum)
  int32_t threads;
  const Target* target;
};

// Sums over all states' sites: site = (state * height + y) * width + x. Whole-image machines put the same weight at each site.
// `sums.place` says from which place on to sum (kNoPlace: found here); the places found are written back.
void run(const Request& request, Sums& sums);

// Each item's own slices (items, sites, quantities, 3) on the scale `place` of all states' sites; one quantity, the weight, or one more for
// each channel. False if an item has a source above the place of its site: then the slices mean nothing.
bool run_items(const Request& request, const int64_t* place, int32_t quantities, int64_t* slices);

// The `keep` best sources of each site, and how many there are. Of whole-image machines too: an item's pixel that stands at the site.
void run_sources(const Request& request, Source* sources, int32_t* kept);

}  // namespace smalti
