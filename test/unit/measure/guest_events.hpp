// SPDX-License-Identifier: LGPL-2.1-or-later
// The events of one small guest, for the tests of what is computed from events.
#pragma once

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/record.hpp"

namespace ashlar::measure {

inline MeasuredImage image_of(const std::string& label, const std::string& bytes) {
  return {.label = label, .size = bytes.size(), .digests = digest(as_bytes(bytes)).value()};
}

/// A guest with a kernel of the bytes "kernel bytes" and one initrd for each text.
inline std::vector<Event> guest_events(const std::vector<std::string>& initrds,
                                       const std::string& command_line = "console=hvc0") {
  Ingredients ingredients = {
      .builder_identity = "ashlar-builder 0.1.0",
      .policy_digest = std::string(64, 'a'),
      .configuration = {.name = "web-1", .memory_kib = 1024, .max_memory_kib = 1024},
      .kernel = image_of("vmlinuz", "kernel bytes"),
      .command_line = command_line,
      .initrds = {}};
  for (const std::string& initrd : initrds)
    ingredients.initrds.push_back(image_of("initrd-of-" + initrd, initrd));
  return make_events(ingredients).value();
}

} // namespace ashlar::measure
