// SPDX-License-Identifier: LGPL-2.1-or-later
// The input's first byte says who reads it, the rest is what another domain has sent: a vTPM to the
// TPM Manager and back, a vTPM to its store and back, the builder's frames. What is read as a
// message is written again as the same bytes: nobody can hide anything beside it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "ashlar/tpm/evidence_message.hpp"
#include "ashlar/tpm/message.hpp"
#include "ashlar/tpm/vtpm_message.hpp"
#include "ashlar/vtpm_state/message.hpp"

using namespace ashlar;

namespace {

using Input = std::span<const std::byte>;

void require(bool holds) {
  if (!holds)
    std::abort();
}

template <typename Message>
void require_same(const Message& message, Input input) {
  if (message)
    require(std::ranges::equal(encode(*message), input));
}

void read_as(unsigned reader, Input input) {
  switch (reader) {
  case 0:
    return require_same(tpm::decode_vtpm_request(input), input);
  case 1:
    return require_same(tpm::decode_vtpm_response(input), input);
  case 2: {
    const auto part = tpm::decode_measurement_part(input);
    if (part)
      require(part->bytes.size() <= part->total && part->offset <= part->total);
    return;
  }
  case 3:
    return require_same(vtpm_state::decode_request(input), input);
  case 4:
    return require_same(vtpm_state::decode_answer(input), input);
  case 5: {
    const auto request = tpm::decode_request(input);
    if (!request)
      return;
    const auto encoded = tpm::encode(*request);
    require(!encoded || std::ranges::equal(*encoded, input));
    return;
  }
  case 7:
    return require_same(tpm::decode_host_log_part(input), input);
  case 8:
    return require_same(tpm::decode_guest_quote_request(input), input);
  case 9: {
    const auto parts = tpm::decode_evidence_parts(input, tpm::guest_quote_parts);
    const auto again = parts ? tpm::encode(*parts) : Result<std::vector<std::byte>>();
    return require(!parts || !again || std::ranges::equal(*again, input));
  }
  default:
    if (const auto reply = tpm::decode_reply(input))
      require(tpm::decode_reply(tpm::encode(*reply)).has_value());
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0)
    read_as(data[0] % 10u, std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}
