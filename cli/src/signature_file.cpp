// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/signature_file.hpp"

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/signature/cms.hpp"
#include "ashlar/signature/limits.hpp"

namespace ashlar::cli {

namespace {

constexpr std::string_view pem_begin = "-----BEGIN ";
constexpr char der_sequence = 0x30; // X.690: the tag that every CMS message begins with

Result<std::vector<std::byte>> message_of(const std::string& text, const std::string& path) {
  if (text.starts_with(pem_begin))
    return signature::message_from_pem(text, "the signature " + path);
  if (text.empty() || text.front() != der_sequence)
    return failure(
        ErrorCode::invalid, "reading the signature " + path,
        "it is neither DER nor PEM: make it with openssl cms -sign -binary -outform DER");
  const std::span<const std::byte> bytes = as_bytes(text);
  return std::vector(bytes.begin(), bytes.end());
}

} // namespace

Result<std::vector<std::byte>> read_signature(const std::string& path) {
  const std::string text = TRY(read_file(path, signature::max_message_bytes));
  std::vector<std::byte> message = TRY(message_of(text, path));
  if (message.size() > signature::max_request_signature_bytes)
    return limit_failure(
        "reading the signature " + path,
        fmt::format("it has {} bytes: it must be detached (without -nodetach), and need not carry "
                    "certificates that the builder's policy has (-nocerts)",
                    message.size()),
        fmt::format("{} bytes", signature::max_request_signature_bytes));
  return message;
}

Result<GuestSignatures> read_signatures(const Guest& guest) {
  GuestSignatures signatures;
  if (guest.kernel_signature)
    signatures.kernel = TRY(read_signature(*guest.kernel_signature));
  const std::size_t count = guest.initrd_signatures.size();
  if (count != 0 && count != guest.initrds.size())
    return failure(ErrorCode::invalid, "checking the signatures of the initrds",
                   fmt::format("there are {} for {} initrds: give one for each in their order, or "
                               "\"{}\" for one that comes without",
                               count, guest.initrds.size(), no_signature));
  for (const std::string& path : guest.initrd_signatures)
    signatures.initrds.push_back(path == no_signature ? std::vector<std::byte>()
                                                      : TRY(read_signature(path)));
  return signatures;
}

} // namespace ashlar::cli
