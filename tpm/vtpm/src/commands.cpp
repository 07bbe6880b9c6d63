// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm/commands.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/measure/event_log.hpp"

namespace ashlar::vtpm {

namespace {

constexpr std::size_t header_bytes = 10;
constexpr std::size_t code_at = 6;
constexpr std::uint32_t ord_extend = 0x14;   // TPM_ORD_Extend
constexpr std::uint32_t ord_pcr_read = 0x15; // TPM_ORD_PcrRead
constexpr std::uint32_t cc_pcr_extend = 0x182;
constexpr std::uint32_t cc_pcr_read = 0x17e;
constexpr std::uint32_t password_session = 0x40000009; // TPM_RS_PW
constexpr std::uint8_t pcr_select_bytes = 3;

/// Collects big-endian numbers and bytes.
struct Body {
  std::vector<std::byte> bytes;

  template <typename Number>
  Body& put(Number value) {
    for (std::size_t i = sizeof value; i-- > 0;)
      bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
    return *this;
  }
  Body& put(std::span<const std::byte> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return *this;
  }
};

Status extend(Engine& engine, const measure::Extension& extension,
              std::span<const measure::Bank> banks) {
  const std::string doing = fmt::format("extending PCR {} of the vTPM", extension.pcr);
  Body body;
  body.put(extension.pcr);
  if (engine.version() == measure::Vtpm::tpm12) {
    body.put(extension.digests.of(measure::Bank::sha1));
    TRY(run(engine, command(tag_tpm12, ord_extend, body.bytes), doing));
    return {};
  }
  // The authorisation area: a password session with an empty password.
  constexpr std::uint32_t area_bytes = 9;
  body.put(area_bytes).put(password_session).put(std::uint16_t{0}).put(std::uint8_t{0});
  body.put(std::uint16_t{0});
  body.put(static_cast<std::uint32_t>(banks.size()));
  for (const measure::Bank bank : banks)
    body.put(measure::tcg_algorithm(bank)).put(extension.digests.of(bank));
  TRY(run(engine, command(tag_authorised, cc_pcr_extend, body.bytes), doing));
  return {};
}

} // namespace

std::vector<std::byte> command(std::uint16_t tag, std::uint32_t code,
                               std::span<const std::byte> body) {
  Body whole;
  whole.put(tag).put(static_cast<std::uint32_t>(header_bytes + body.size())).put(code).put(body);
  return std::move(whole.bytes);
}

Result<std::vector<std::byte>> run(Engine& engine, std::span<const std::byte> packet,
                                   const std::string& doing) {
  const std::vector<std::byte> answer = TRY(engine.process(packet));
  if (answer.size() < header_bytes)
    return failure(ErrorCode::integrity, doing,
                   fmt::format("the TPM answers with {} bytes", answer.size()));
  std::uint32_t code = 0;
  for (std::size_t i = 0; i < sizeof code; ++i)
    code = (code << 8) | std::to_integer<std::uint32_t>(answer[code_at + i]);
  if (code != 0)
    return failure(ErrorCode::integrity, doing,
                   fmt::format("the TPM refuses with return code {:#x}", code));
  return std::vector<std::byte>(answer.begin() + header_bytes, answer.end());
}

Result<std::vector<std::byte>> read_pcr(Engine& engine, std::uint32_t pcr, measure::Bank bank) {
  const std::string doing =
      fmt::format("reading PCR {} of the vTPM in bank {}", pcr, measure::to_string(bank));
  const std::size_t size = measure::Digests{}.of(bank).size();
  Body body;
  std::vector<std::byte> answer;
  if (engine.version() == measure::Vtpm::tpm12) {
    body.put(pcr);
    answer = TRY(run(engine, command(tag_tpm12, ord_pcr_read, body.bytes), doing));
  } else {
    body.put(std::uint32_t{1}).put(measure::tcg_algorithm(bank)).put(pcr_select_bytes);
    for (std::uint32_t byte = 0; byte < pcr_select_bytes; ++byte)
      body.put(static_cast<std::uint8_t>(pcr / 8 == byte ? 1U << (pcr % 8) : 0U));
    answer = TRY(run(engine, command(tag_plain, cc_pcr_read, body.bytes), doing));
    // An update counter, the selection, then one digest: a bank that is not active gives none.
    constexpr std::size_t before_digest = 4 + 4 + 2 + 1 + pcr_select_bytes + 4 + 2;
    if (answer.size() != before_digest + size)
      return failure(ErrorCode::integrity, doing, "the bank is not active");
    answer.erase(answer.begin(), answer.begin() + before_digest);
  }
  if (answer.size() != size)
    return failure(ErrorCode::integrity, doing,
                   fmt::format("the TPM gives {} bytes", answer.size()));
  return answer;
}

Status extend_all(Engine& engine, std::span<const measure::Extension> extensions,
                  std::span<const measure::Bank> banks) {
  for (const measure::Extension& extension : extensions)
    TRY(extend(engine, extension, banks));
  for (const auto& [pcr, wanted] : TRY(measure::replay(extensions)))
    for (const measure::Bank bank : banks)
      if (!std::ranges::equal(TRY(read_pcr(engine, pcr, bank)), wanted.of(bank)))
        return failure(ErrorCode::integrity, fmt::format("reading PCR {} back", pcr),
                       fmt::format("its {} value is not what the extends add up to",
                                   measure::to_string(bank)));
  return {};
}

} // namespace ashlar::vtpm
