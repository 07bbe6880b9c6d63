// SPDX-License-Identifier: LGPL-2.1-or-later
// How two measured texts differ.
#pragma once

#include <string>
#include <string_view>

namespace ashlar::evidence {

/// The two texts and what their sides are called.
struct TwoTexts {
  std::string_view first;
  std::string_view second;
  std::string_view first_name;
  std::string_view second_name;
};

/// "B's command line has an extra `quiet`".
[[nodiscard]] std::string command_line_cause(const TwoTexts& texts);

/// "memory_kib is 262144 in A, 524288 in B", of lines "key=value".
[[nodiscard]] std::string configuration_cause(const TwoTexts& texts);

} // namespace ashlar::evidence
