// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/pcr.hpp"

#include <algorithm>
#include <vector>

namespace ashlar::tpm {

namespace {

Result<measure::Digests> digest_of_both(std::span<const std::byte> value,
                                        std::span<const std::byte> event) {
  std::vector<std::byte> both(value.begin(), value.end());
  both.insert(both.end(), event.begin(), event.end());
  return measure::digest(both);
}

} // namespace

Result<PcrValue> extended(const PcrValue& value, const measure::Digests& event) {
  PcrValue next;
  next.sha1 = TRY(digest_of_both(value.sha1, event.sha1)).sha1;
  next.sha256 = TRY(digest_of_both(value.sha256, event.sha256)).sha256;
  next.sha384 = TRY(digest_of_both(value.sha384, event.sha384)).sha384;
  return next;
}

bool same_in(std::span<const measure::Bank> banks, const PcrValue& left, const PcrValue& right) {
  return std::ranges::all_of(
      banks, [&](measure::Bank bank) { return std::ranges::equal(left.of(bank), right.of(bank)); });
}

} // namespace ashlar::tpm
