// The instruction sets this build has, and those this processor can run.
#pragma once

#include <vector>

#include "problem.hpp"

namespace smalti {

// Usable targets, widest first.
std::vector<const Target*> usable_targets();

}  // namespace smalti
