// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

namespace ashlar::cli {

/// A column's heading, and whether its cells are numbers (set to the right).
struct Column {
  std::string heading;
  bool number = false;
};

/// Text in columns, two spaces apart, each as wide as its widest cell; each line ends with a
/// newline and has no spaces at its end. Each row must have a cell for each column.
[[nodiscard]] std::string table(const std::vector<Column>& columns,
                                const std::vector<std::vector<std::string>>& rows);

} // namespace ashlar::cli
