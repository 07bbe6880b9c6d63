// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ashlar::cli {

/// A setting's name in an xl.cfg file, and the line (from 1) on which it is assigned.
struct Statement {
  std::string key;
  std::size_t line = 0;
};

/// The settings of an xl.cfg file in order. libxlutil reads values, but cannot say which names a
/// file has; this finds them, so that none is passed over. The text must be one that libxlutil
/// accepted: statements end at a newline or semicolon outside quotes and brackets, '#' starts a
/// comment.
[[nodiscard]] std::vector<Statement> statements_of(std::string_view text);

} // namespace ashlar::cli
