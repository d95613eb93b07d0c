#pragma once

#include <nanobind/nanobind.h>

// Adds the functions of smalti.engine.text to the module.
void bind_text(nanobind::module_& m);
