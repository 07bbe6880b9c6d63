// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/ipc/message.hpp"

#include <fmt/format.h>
#include <pb_common.h>
#include <pb_decode.h>
#include <pb_encode.h>

#include <algorithm>
#include <cstring>

#include "ashlar/ipc/frame.hpp"

namespace ashlar::ipc {

static_assert(ashlar_v1_Request_size <= max_control_bytes, "a request can outgrow its frame");
static_assert(ashlar_v1_Response_size <= max_control_bytes, "a response can outgrow its frame");

namespace {

// Messages nest four deep at most (Response, Domain, Image, Digests).
constexpr int max_nesting = 8;

unsigned octet(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

// Length of the valid UTF-8 sequence at `at` (RFC 3629: shortest form, no surrogates, up to
// U+10FFFF), or 0 when there is none.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const unsigned first = octet(text, at);
  if (first < 0x80)
    return 1;
  if (first < 0xc2 || first > 0xf4)
    return 0;
  const std::size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (text.size() - at < length)
    return 0;
  const unsigned second = octet(text, at + 1);
  const unsigned least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most)
    return 0;
  for (std::size_t i = 2; i < length; ++i)
    if ((octet(text, at + i) & 0xc0) != 0x80)
      return 0;
  return length;
}

// Control characters of ASCII, and those of Latin-1 (C1, in UTF-8 C2 80 to C2 9F), which terminals
// obey.
bool control_at(std::string_view text, std::size_t at) {
  const unsigned first = octet(text, at);
  if (first < 0x20 || first == 0x7f)
    return true;
  return first == 0xc2 && at + 1 < text.size() && octet(text, at + 1) < 0xa0;
}

// Why the text is not fit for a message; empty when it is.
std::string text_fault(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence_length(text, at);
    if (length == 0)
      return fmt::format("byte {} is not valid UTF-8", at);
    if (control_at(text, at))
      return fmt::format("byte {} is a control character", at);
    at += length;
  }
  return {};
}

Status check_text(std::span<const char> field, const std::string& what) {
  const auto end = std::ranges::find(field, '\0');
  const std::string_view text(field.data(), static_cast<std::size_t>(end - field.begin()));
  // Decoding starts from zeros, so anything behind the first NUL was sent, and would be hidden.
  if (std::any_of(end, field.end(), [](char c) { return c != '\0'; }))
    return failure(ErrorCode::invalid, "decoding a message", what + " holds a NUL");
  if (const std::string fault = text_fault(text); !fault.empty())
    return failure(ErrorCode::invalid, "decoding a message", what + ": " + fault);
  return {};
}

Status check_strings(const pb_msgdesc_t* type, const void* message, int depth);

Status check_field(const pb_field_iter_t& field, int depth) {
  if (PB_ATYPE(field.type) != PB_ATYPE_STATIC || depth > max_nesting)
    return failure(ErrorCode::internal, "decoding a message",
                   fmt::format("field {} has a form that the schema does not use", field.tag));
  std::size_t count = 1;
  const auto kind = PB_HTYPE(field.type);
  if (kind == PB_HTYPE_ONEOF && *static_cast<const pb_size_t*>(field.pSize) != field.tag)
    return {};
  if (kind == PB_HTYPE_OPTIONAL && field.pSize && !*static_cast<const bool*>(field.pSize))
    return {};
  if (kind == PB_HTYPE_REPEATED)
    count = *static_cast<const pb_size_t*>(field.pSize);
  const std::span all(static_cast<const char*>(field.pData), count * field.data_size);
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<const char> element = all.subspan(i * field.data_size, field.data_size);
    if (PB_LTYPE(field.type) == PB_LTYPE_STRING)
      TRY(check_text(element, fmt::format("text field {}", field.tag)));
    if (PB_LTYPE_IS_SUBMSG(field.type))
      TRY(check_strings(field.submsg_desc, element.data(), depth + 1));
  }
  return {};
}

// Walks the message by its descriptor, so that a text field added to the schema is checked as well.
Status check_strings(const pb_msgdesc_t* type, const void* message, int depth) {
  pb_field_iter_t field;
  if (!pb_field_iter_begin_const(&field, type, message))
    return {}; // a message without fields
  do
    TRY(check_field(field, depth));
  while (pb_field_iter_next(&field));
  return {};
}

// nanopb stores whatever number came; reading it through memory keeps a number that the enumeration
// does not have from being undefined behaviour.
template <typename Enum>
Status check_enum(const Enum& value, unsigned largest, const char* what) {
  static_assert(sizeof(Enum) == sizeof(unsigned));
  unsigned number = 0;
  std::memcpy(&number, &value, sizeof number);
  if (number > largest)
    return failure(ErrorCode::invalid, "decoding a message",
                   fmt::format("{} has no value {}", what, number));
  return {};
}

template <typename Configured>
Status check_configured_enums(const Configured& message) {
  TRY(check_enum(message.type, _ashlar_v1_GuestType_MAX, "GuestType"));
  TRY(check_enum(message.on_poweroff, _ashlar_v1_StopAction_MAX, "StopAction"));
  TRY(check_enum(message.on_reboot, _ashlar_v1_StopAction_MAX, "StopAction"));
  return check_enum(message.on_crash, _ashlar_v1_StopAction_MAX, "StopAction");
}

template <typename Message>
Result<std::vector<std::byte>> encode_message(const pb_msgdesc_t* type, const Message& message) {
  std::size_t size = 0;
  if (!pb_get_encoded_size(&size, type, &message))
    return failure(ErrorCode::internal, "encoding a message", "it does not fit its schema");
  if (size > max_control_bytes)
    return failure(
        ErrorCode::internal, "encoding a message",
        fmt::format("{} bytes are more than the {} of a control frame", size, max_control_bytes));
  std::vector<std::byte> bytes(size);
  pb_ostream_t stream =
      pb_ostream_from_buffer(reinterpret_cast<pb_byte_t*>(bytes.data()), bytes.size());
  if (!pb_encode(&stream, type, &message))
    return failure(ErrorCode::internal, "encoding a message", PB_GET_ERROR(&stream));
  return bytes;
}

template <typename Message>
Result<Message> decode_message(const pb_msgdesc_t* type, std::span<const std::byte> bytes) {
  if (bytes.size() > max_control_bytes)
    return failure(ErrorCode::invalid, "decoding a message",
                   fmt::format("{} bytes are more than the {} of a control frame", bytes.size(),
                               max_control_bytes));
  Message message{};
  pb_istream_t stream =
      pb_istream_from_buffer(reinterpret_cast<const pb_byte_t*>(bytes.data()), bytes.size());
  if (!pb_decode(&stream, type, &message))
    return failure(ErrorCode::invalid, "decoding a message", PB_GET_ERROR(&stream));
  TRY(check_strings(type, &message, 0));
  return message;
}

} // namespace

void copy_text(std::span<char> field, std::string_view text) {
  std::size_t filled = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence_length(text, at);
    const bool fit = length > 0 && !control_at(text, at);
    const std::string_view piece = fit ? text.substr(at, length) : std::string_view("?");
    if (filled + piece.size() >= field.size())
      break;
    std::ranges::copy(piece, field.subspan(filled).begin());
    filled += piece.size();
    at += length > 0 ? length : 1;
  }
  std::ranges::fill(field.subspan(filled), '\0');
}

Status copy_exact_text(std::span<char> field, std::string_view text, const std::string& what) {
  if (text.size() >= field.size())
    return failure(ErrorCode::limit, "checking " + what,
                   fmt::format("it is {} bytes long, the limit is {}; shorten it", text.size(),
                               field.size() - 1));
  if (const std::string fault = text_fault(text); !fault.empty())
    return failure(ErrorCode::invalid, "checking " + what, fault);
  copy_text(field, text);
  return {};
}

Result<std::vector<std::byte>> encode(const Request& request) {
  return encode_message(ashlar_v1_Request_fields, request);
}

Result<std::vector<std::byte>> encode(const Response& response) {
  return encode_message(ashlar_v1_Response_fields, response);
}

Result<Request> decode_request(std::span<const std::byte> bytes) {
  Request request = TRY(decode_message<Request>(ashlar_v1_Request_fields, bytes));
  if (request.which_verb == ashlar_v1_Request_create_tag)
    TRY(check_configured_enums(request.verb.create));
  return request;
}

Result<Response> decode_response(std::span<const std::byte> bytes) {
  Response response = TRY(decode_message<Response>(ashlar_v1_Response_fields, bytes));
  if (response.which_part == ashlar_v1_Response_domain_tag) {
    TRY(check_configured_enums(response.part.domain));
    TRY(check_enum(response.part.domain.state, _ashlar_v1_DomainState_MAX, "DomainState"));
  }
  return response;
}

} // namespace ashlar::ipc
