// SPDX-License-Identifier: LGPL-2.1-or-later
// Bundles that were made with real TPMs (bundles.py), and means to tamper with them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ashlar/evidence/verify.hpp"

namespace ashlar::evidence::test {

/// A file under test/unit/evidence/golden.
[[nodiscard]] std::string golden(const std::string& name);

/// The files of a bundle in their order, to be changed and packed again.
class Files {
public:
  explicit Files(const std::string& bundle);
  [[nodiscard]] std::string& operator[](std::string_view name);
  void remove(std::string_view name);
  [[nodiscard]] std::string pack() const;

  std::vector<std::pair<std::string, std::string>> all;
};

/// A ustar archive of these files.
[[nodiscard]] std::string archive(const std::vector<std::pair<std::string, std::string>>& files);

/// Writes the header's checksum again after it was changed.
void fix_checksum(std::string& archive, std::size_t at);

/// The trust of golden/reference and golden/nonce.
[[nodiscard]] Trust trust();

/// The link of this name.
[[nodiscard]] Link link_of(const Verdict& verdict, std::string_view name);

/// The names of the failed links.
[[nodiscard]] std::vector<std::string> failed(const Verdict& verdict);

[[nodiscard]] Verdict verify(const std::string& bundle, const Trust& trust);

} // namespace ashlar::evidence::test
