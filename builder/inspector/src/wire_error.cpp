// SPDX-License-Identifier: LGPL-2.1-or-later
#include "wire_error.hpp"

#include "ashlar/base/bytes.hpp"

namespace ashlar::inspector {

namespace {
constexpr std::size_t max_doing_bytes = 512;
constexpr std::size_t max_why_bytes = 1024;
} // namespace

void write_error(WireWriter& writer, const Error& error) {
  writer.u8(0);
  writer.u8(static_cast<std::uint8_t>(error.code));
  writer.text(std::string_view(error.doing).substr(0, max_doing_bytes));
  writer.text(std::string_view(error.why).substr(0, max_why_bytes));
  writer.u32(static_cast<std::uint32_t>(error.system_errno));
}

Error read_error(WireReader& reader) {
  Error error;
  error.code = read_enum(reader, ErrorCode::invalid, ErrorCode::internal, "the error code");
  error.doing = printable(reader.text(max_doing_bytes), max_doing_bytes);
  error.why = printable(reader.text(max_why_bytes), max_why_bytes);
  error.system_errno = static_cast<int>(reader.u32());
  return error;
}

bool read_flag(WireReader& reader) {
  const std::uint8_t value = reader.u8();
  if (value > 1)
    reader.reject("a yes or no is neither 0 nor 1");
  return value == 1;
}

} // namespace ashlar::inspector
