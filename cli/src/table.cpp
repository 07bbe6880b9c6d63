// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/table.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ashlar::cli {

std::string table(const std::vector<Column>& columns,
                  const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : columns)
    lines.front().push_back(column.heading);
  lines.insert(lines.end(), rows.begin(), rows.end());
  std::vector<std::size_t> widths(columns.size());
  for (const auto& line : lines)
    for (std::size_t i = 0; i < columns.size(); ++i)
      widths[i] = std::max(widths[i], line[i].size());
  std::string text;
  for (const auto& line : lines) {
    std::string row;
    for (std::size_t i = 0; i < columns.size(); ++i)
      row += (i > 0 ? "  " : "") + (columns[i].number ? fmt::format("{:>{}}", line[i], widths[i])
                                                      : fmt::format("{:<{}}", line[i], widths[i]));
    text += row.substr(0, row.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

} // namespace ashlar::cli
