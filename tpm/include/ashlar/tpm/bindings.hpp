// SPDX-License-Identifier: LGPL-2.1-or-later
// Which vTPM may ask for which guest's measurement.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/digest.hpp"
#include "ashlar/tpm/binding.hpp"
#include "ashlar/tpm/ledger.hpp"

namespace ashlar::tpm {

/// The images that a vTPM's domain may be built from. Empty: none, so that no vTPM is served.
class ApprovedImages {
public:
  /// Reads lines "KERNEL-SHA256 INITRD-SHA256" in hexadecimal; empty lines and lines that begin
  /// with '#' are left out. Errors: not_found, io, limit, invalid with the line's number.
  [[nodiscard]] static Result<ApprovedImages> read(const std::string& path);
  [[nodiscard]] static Result<ApprovedImages> parse(std::string_view text, const std::string& path);

  /// Was this domain built from an approved kernel with the one initrd that belongs to it?
  [[nodiscard]] bool contains(const measure::Record& record) const;

private:
  std::set<std::pair<measure::Sha256, measure::Sha256>> images_;
};

/// Bindings of records that hold, found in time independent of their number.
class Bindings {
public:
  enum class Verdict { fresh, known };

  /// May this be bound? Errors: invalid (one of the records is not in the ledger, or the binding
  /// says nothing), denied (one is revoked, or the vTPM is built from other images than the
  /// approved ones), exists (one of the two is bound to another).
  [[nodiscard]] Result<Verdict> judge(const Binding& binding, const Ledger& ledger,
                                      const ApprovedImages& approved) const;
  /// Adds what judge() found fresh.
  void add(const Binding& binding);
  /// The record with this serial is revoked, be it the guest's or the vTPM's.
  void end(std::uint64_t serial);

  /// Null when there is none.
  [[nodiscard]] const Binding* of_vtpm(std::uint64_t vtpm_serial) const;
  [[nodiscard]] const std::unordered_map<std::uint64_t, Binding>& all() const { return by_vtpm_; }

private:
  std::unordered_map<std::uint64_t, Binding> by_vtpm_;
  std::unordered_map<std::uint64_t, std::uint64_t> vtpm_of_guest_;
};

} // namespace ashlar::tpm
