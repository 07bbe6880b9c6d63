// SPDX-License-Identifier: LGPL-2.1-or-later
// A quoter without a TPM: made-up keys, and the PCR of a test's machine.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <vector>

#include "ashlar/tpm/quote.hpp"
#include "scene.hpp"

namespace ashlar::tpm {

class FakeQuoter final : public Quoter {
public:
  explicit FakeQuoter(const Machine& machine) : machine_(machine) {}
  [[nodiscard]] Result<Quote> quote(const measure::Sha256& qualifying) override {
    ++quotes;
    asked = qualifying;
    if (fails)
      return failure(ErrorCode::io, "quoting", "the test's TPM is dead");
    return Quote{.attest = std::vector<std::byte>(3, std::byte{1}),
                 .signature = std::vector<std::byte>(2, std::byte{2}),
                 .public_key = std::vector<std::byte>(1, std::byte{3}),
                 .pcrs = {{13, machine_.pcr.sha256}}};
  }
  [[nodiscard]] std::span<const std::byte> attestation_key() const override { return key; }
  [[nodiscard]] Result<std::map<std::uint32_t, measure::Sha256>> pcrs() override {
    ++pcr_reads;
    if (fails)
      return failure(ErrorCode::io, "reading PCRs", "the test's TPM is dead");
    return std::map<std::uint32_t, measure::Sha256>{{13, machine_.pcr.sha256}};
  }
  [[nodiscard]] Result<Endorsement> endorsement() override {
    ++endorsements;
    if (endorsement_fails)
      return failure(ErrorCode::io, "making the endorsement key", "the test's TPM is dead");
    return Endorsement{.public_key = std::vector<std::byte>(4, std::byte{4}),
                       .certificate = certificate};
  }
  [[nodiscard]] Result<std::vector<std::byte>>
  activate(std::span<const std::byte> credential, std::span<const std::byte> secret) override {
    if (credential.size() != secret.size())
      return failure(ErrorCode::denied, "activating", "it was made for another key");
    return std::vector<std::byte>(credential.begin(), credential.end());
  }
  bool fails = false;
  bool endorsement_fails = false;
  int quotes = 0;
  int pcr_reads = 0;
  std::vector<std::byte> key = std::vector<std::byte>(6, std::byte{6});
  int endorsements = 0;
  std::vector<std::byte> certificate = std::vector<std::byte>(5, std::byte{5});
  measure::Sha256 asked{};

private:
  const Machine& machine_;
};

} // namespace ashlar::tpm
