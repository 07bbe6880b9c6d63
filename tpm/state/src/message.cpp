// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm_state/message.hpp"

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"

namespace ashlar::vtpm_state {

namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::byte> read_part(WireReader& reader) {
  const std::string text = reader.text(max_part_bytes);
  const std::span<const std::byte> bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

void check_version(WireReader& reader) {
  if (const std::uint8_t version = reader.u8(); reader.good() && version != message_version)
    reader.reject(fmt::format("it is of version {}, not {}", version, message_version));
}

void check_put(WireReader& reader, const Request& request) {
  if (request.total == 0 || request.total > max_blob_bytes)
    reader.reject(
        fmt::format("a blob of {} bytes, 1 to {} are possible", request.total, max_blob_bytes));
  else if (request.part.empty() || request.offset > request.total ||
           request.part.size() > request.total - request.offset)
    reader.reject(
        fmt::format("{} bytes at {} of {}", request.part.size(), request.offset, request.total));
}

} // namespace

std::vector<std::byte> encode(const Request& request) {
  WireWriter writer;
  writer.u8(message_version);
  writer.u8(static_cast<std::uint8_t>(request.operation));
  writer.raw(request.name);
  writer.u32(request.total);
  writer.u32(request.offset);
  writer.text(as_text(request.part));
  return writer.take();
}

std::vector<std::byte> encode(const Answer& answer) {
  WireWriter writer;
  writer.u8(message_version);
  writer.u8(static_cast<std::uint8_t>(answer.outcome));
  writer.u32(answer.total);
  writer.text(as_text(answer.part));
  return writer.take();
}

Result<Request> decode_request(std::span<const std::byte> bytes) {
  WireReader reader(bytes);
  Request request;
  check_version(reader);
  const std::uint8_t operation = reader.u8();
  request.operation = static_cast<Operation>(operation);
  reader.raw(request.name);
  request.total = reader.u32();
  request.offset = reader.u32();
  request.part = read_part(reader);
  if (operation < static_cast<std::uint8_t>(Operation::put) ||
      operation > static_cast<std::uint8_t>(Operation::list))
    reader.reject(fmt::format("operation {} is unknown", operation));
  else if (request.operation == Operation::put)
    check_put(reader, request);
  else if (!request.part.empty())
    reader.reject("it carries bytes that only a put has");
  TRY(reader.end("a request to the store of vTPM states"));
  return request;
}

Result<Answer> decode_answer(std::span<const std::byte> bytes) {
  WireReader reader(bytes);
  Answer answer;
  check_version(reader);
  const std::uint8_t outcome = reader.u8();
  if (reader.good() && outcome > static_cast<std::uint8_t>(Outcome::failed))
    reader.reject(fmt::format("outcome {} is unknown", outcome));
  answer.outcome = static_cast<Outcome>(outcome);
  answer.total = reader.u32();
  answer.part = read_part(reader);
  if (answer.total > max_blob_bytes || answer.part.size() > answer.total)
    reader.reject(fmt::format("{} bytes of {}", answer.part.size(), answer.total));
  TRY(reader.end("an answer of the store of vTPM states"));
  return answer;
}

} // namespace ashlar::vtpm_state
