// SPDX-License-Identifier: LGPL-2.1-or-later
// The first byte chooses what the rest is: a PE image, a CMS message, a report of the verifier, or
// the question that it is given. What must hold besides "no crash": no key that signs for the named
// certificate exists any more, so nothing is ever trusted.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "../unit/vendor_certificate.hpp"
#include "ashlar/inspector/signatures.hpp"
#include "ashlar/signature/authenticode.hpp"
#include "ashlar/signature/cms.hpp"

using namespace ashlar;
using namespace ashlar::signature;

namespace {

void require(bool holds) {
  if (!holds)
    std::abort();
}

const Anchors& anchors() {
  static const Anchors named{
      .certificates = {Certificate::from_pem(vendor_certificate, "it").value()}, .revoked = {}};
  return named;
}

void image(std::span<const std::byte> input) {
  const auto found = check_image(input, anchors());
  if (found)
    require(std::ranges::count(found->trust, Trust::none) == 1);
  const auto report = inspector::decode_signature_report(inspector::encode({found, {}}), 1, 0);
  require(report.has_value() && report->inside.has_value() == found.has_value());
}

void message(std::span<const std::byte> input) {
  require(!signed_content(input, anchors(), "it").has_value());
  // The corpus has a message of the vendor from when it still had its key.
  constexpr std::byte signed_once{0x46};
  const auto digest = signed_digest(input, anchors(), "it");
  require(!digest || digest->front() == signed_once);
  if (const auto detached =
          check_detached(input, digest.value_or(measure::Sha256{}), anchors(), "it"))
    require(digest ? std::ranges::count(detached->trust, Trust::trusted) == 1
                   : std::ranges::count(detached->trust, Trust::none) == 1);
}

void report(std::span<const std::byte> input) {
  // Of none and of one signature that was brought.
  for (const std::size_t brought : {0uz, 1uz}) {
    const auto hostile = inspector::decode_signature_report(input, 1, brought);
    if (hostile && hostile->inside && hostile->inside->found.empty())
      require(hostile->inside->trust.at(0) == Trust::none);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto input = std::as_bytes(std::span(data, size)).subspan(1);
  switch (data[0] % 4) {
  case 0:
    image(input);
    break;
  case 1:
    message(input);
    break;
  case 2:
    report(input);
    break;
  default:
    static_cast<void>(inspector::decode_question(input).has_value());
  }
  return 0;
}
