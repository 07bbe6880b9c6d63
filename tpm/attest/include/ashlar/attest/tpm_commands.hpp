// SPDX-License-Identifier: LGPL-2.1-or-later
// The few commands of a TPM 2.0 by which a guest attests (TPM 2.0 Library part 3), without any
// library: ashlar-attest is static. Numbers are big-endian.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::attest {

using Bytes = std::vector<std::byte>;
/// Sends a TPM one command, and gives its answer.
using Exchange = std::function<Result<Bytes>(std::span<const std::byte> command)>;

/// A device file of Linux' TPM driver, open until the Exchange is gone. Errors: not_found, busy
/// (somebody else has it open), io.
[[nodiscard]] Result<Exchange> open_device(const std::string& path);

/// Sends a command of this tag and code, and requires success; gives the answer without its header.
/// Errors: denied (the TPM refuses: `why` has its response code), invalid (no answer of a
/// TPM 2.0), and those of `exchange`.
[[nodiscard]] Result<Bytes> run(const Exchange& exchange, std::uint16_t tag, std::uint32_t code,
                                std::span<const std::byte> body, const std::string& doing);

/// Is this the answer of a TPM 2.0? A TPM 1.2 knows none of these commands, and gives no evidence.
/// Errors: unsupported, with what to do.
[[nodiscard]] Status require_tpm20(std::span<const std::byte> answer);

/// A key loaded in the TPM.
struct AttestationKey {
  std::uint32_t handle = 0;
  Bytes public_key; // TPM2B_PUBLIC
};
/// Makes the primary key of a fixed template: ECC P-256, restricted to signing what the TPM says.
/// It is the same each time for a TPM. In the endorsement hierarchy, or in the owner's if the
/// former has a password. Errors: denied (both have one), and those of run().
[[nodiscard]] Result<AttestationKey> make_attestation_key(const Exchange& exchange);
/// Unloads it: the TPM has room for three.
[[nodiscard]] Status flush(const Exchange& exchange, const AttestationKey& key);

using Sha256 = std::array<std::byte, 32>;
using Pcrs = std::map<std::uint32_t, Sha256>;

struct PcrQuote {
  Bytes attest;    // TPMS_ATTEST
  Bytes signature; // TPMT_SIGNATURE
  Pcrs pcrs;       // the values that were quoted
};
/// Quotes these PCRs (below 24, at most 8) in the SHA-256 bank, qualified with the nonce. When one
/// is extended meanwhile, it begins anew, at most max_quote_attempts times. Errors: busy (extended
/// each time), and those of run().
[[nodiscard]] Result<PcrQuote> quote(const Exchange& exchange, const AttestationKey& key,
                                     std::span<const std::byte> nonce,
                                     std::span<const std::uint32_t> pcrs);
inline constexpr int max_quote_attempts = 4;

/// Reads big-endian numbers and byte strings off the front of an answer; each fails (invalid) where
/// the bytes end.
class Reader {
public:
  Reader(std::span<const std::byte> bytes, std::string doing)
      : bytes_(bytes), doing_(std::move(doing)) {}
  [[nodiscard]] Result<std::uint32_t> number(std::size_t size); // 1, 2 or 4 bytes
  [[nodiscard]] Result<Bytes> take(std::size_t size);
  [[nodiscard]] std::size_t left() const { return bytes_.size(); }

private:
  std::span<const std::byte> bytes_;
  std::string doing_;
};

/// Appends a big-endian number.
template <typename Number>
void put(Bytes& out, Number value) {
  for (std::size_t i = sizeof value; i-- > 0;)
    out.push_back(static_cast<std::byte>(value >> (8 * i)));
}

} // namespace ashlar::attest
