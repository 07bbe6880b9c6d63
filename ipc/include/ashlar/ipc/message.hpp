// SPDX-License-Identifier: LGPL-2.1-or-later
// Protobuf messages as plain structs (nanopb, static fields): encode, decode, and text helpers.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar.pb.h"
#include "ashlar/base/result.hpp"

namespace ashlar::ipc {

using Request = ashlar_v1_Request;
using Response = ashlar_v1_Response;

/// Encoded form, at most max_control_bytes. Errors: limit, internal.
[[nodiscard]] Result<std::vector<std::byte>> encode(const Request& request);
[[nodiscard]] Result<std::vector<std::byte>> encode(const Response& response);

/// Decodes one message; the whole of `bytes` must be it. Strings must be valid UTF-8 without
/// control characters or NUL. Errors: invalid, naming the reason. Safe on hostile input.
[[nodiscard]] Result<Request> decode_request(std::span<const std::byte> bytes);
[[nodiscard]] Result<Response> decode_response(std::span<const std::byte> bytes);

/// Copies text into a field of a message, cut at the field's size (on a UTF-8 boundary). For text
/// of ours that may be long, such as error messages: control characters and bytes that are not
/// UTF-8 become
/// '?', since the receiver would refuse the message for them.
void copy_text(std::span<char> field, std::string_view text);
template <std::size_t N>
void set_text(char (&field)[N], std::string_view text) {
  copy_text(field, text);
}

/// Copies text that must arrive as it is; `what` names it in errors. Errors: limit (longer than the
/// field takes), invalid (control characters, or not UTF-8).
[[nodiscard]] Status copy_exact_text(std::span<char> field, std::string_view text,
                                     const std::string& what);
template <std::size_t N>
[[nodiscard]] Status set_exact_text(char (&field)[N], std::string_view text,
                                    const std::string& what) {
  return copy_exact_text(field, text, what);
}

/// Copies bytes into a nanopb bytes field (a struct of `size` and `bytes[N]`); false when too long.
template <typename Field>
[[nodiscard]] bool set_bytes(Field& field, std::span<const std::byte> bytes) {
  if (bytes.size() > sizeof field.bytes)
    return false;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    field.bytes[i] = std::to_integer<pb_byte_t>(bytes[i]);
  field.size = static_cast<pb_size_t>(bytes.size());
  return true;
}

/// The bytes of a nanopb bytes field.
template <typename Field>
[[nodiscard]] std::span<const std::byte> bytes_of(const Field& field) {
  return std::as_bytes(std::span(field.bytes, field.size));
}

} // namespace ashlar::ipc
