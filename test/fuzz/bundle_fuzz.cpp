// SPDX-License-Identifier: LGPL-2.1-or-later
// The input is a bundle (or, behind another first byte, one of the things in it or beside it): it
// is verified against trust that it can never have, so that every reader runs and no verdict is
// good.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "ashlar/evidence/bundle.hpp"
#include "ashlar/evidence/compare.hpp"
#include "ashlar/evidence/event_log.hpp"
#include "ashlar/evidence/pcr_set.hpp"
#include "ashlar/evidence/reference.hpp"
#include "ashlar/evidence/text_forms.hpp"
#include "ashlar/evidence/tpm_structures.hpp"
#include "ashlar/evidence/verify.hpp"

using namespace ashlar;

namespace {

using Input = std::span<const std::byte>;

void require(bool holds) {
  if (!holds)
    std::abort();
}

std::string_view text_of(Input input) {
  return {reinterpret_cast<const char*>(input.data()), input.size()};
}

// The nonce, key and authority that the bundle wants, so that the checks behind them are reached.
void verify_with_its_own_key(Input input) {
  const auto bundle = evidence::read_bundle(input);
  evidence::Trust trust;
  if (bundle) {
    trust.nonce = bundle->nonce;
    if (auto key = evidence::read_public(bundle->host.key, "the key"))
      trust.host_keys.push_back(std::move(key->key));
    if (auto pem = evidence::pem_block("CERTIFICATE", bundle->endorsement_certificate))
      trust.endorsement_authorities = std::move(*pem);
  }
  const evidence::Verdict verdict = evidence::verify(input, trust);
  require(!verdict.links.empty() && !verdict.ok()); // there is no reference
}

// A log explains the PCR values that it gives, and differs from a guest's in words.
void explain_log(Input input) {
  const auto log = evidence::read_event_log(input);
  const auto values = log ? measure::replay(log->extensions) : std::unexpected(log.error());
  if (!values)
    return;
  evidence::Side side;
  side.log = *log;
  evidence::Side pcrs;
  pcrs.pcrs = evidence::pcr_set_of(*values, log->banks);
  if (const auto same = evidence::compare(side, pcrs, {}))
    require(!*same);
  evidence::Side other;
  other.log = *log;
  other.log->extensions.emplace_back();
  if (const auto longer = evidence::compare(side, other, {}))
    require(longer->has_value());
}

void read_as(unsigned reader, Input input) {
  switch (reader) {
  case 1:
    explain_log(input);
    return;
  case 2:
    if (const auto reference = evidence::read_reference(text_of(input), "the input"))
      require(evidence::encode(*reference) == text_of(input));
    return;
  case 3:
    (void)evidence::read_quote(input, "the input");
    return;
  case 4:
    (void)evidence::read_public(input, "the input");
    return;
  case 5:
    (void)evidence::read_pcr_set(text_of(input), "the input");
    return;
  default:
    verify_with_its_own_key(input);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Input input = std::as_bytes(std::span(data, size));
  // A bundle begins with its first file's name, the other kinds behind a byte of their own.
  if (size > 0 && data[0] >= 1 && data[0] <= 5)
    read_as(data[0], input.subspan(1));
  else
    read_as(0, input);
  return 0;
}
