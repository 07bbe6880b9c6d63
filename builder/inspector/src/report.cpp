// SPDX-License-Identifier: LGPL-2.1-or-later
// Encoding of a report (base/wire.hpp): u8 1 and the description, or u8 0 and the error.
#include "ashlar/inspector/report.hpp"

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"
#include "ashlar/inspector/limits.hpp"

namespace ashlar::inspector {

namespace {

constexpr std::size_t max_doing_bytes = 512;
constexpr std::size_t max_why_bytes = 1024;

void write_description(WireWriter& writer, const Description& description) {
  writer.u8(1);
  writer.u8(static_cast<std::uint8_t>(description.format));
  writer.u8(static_cast<std::uint8_t>(description.compression));
  writer.u64(description.plain_bytes);
  writer.u8(description.pv ? 1 : 0);
  writer.u8(description.pvh ? 1 : 0);
  writer.u64(description.load_bytes);
  writer.text(std::string_view(description.guest_os).substr(0, max_guest_os_bytes));
}

void write_error(WireWriter& writer, const Error& error) {
  writer.u8(0);
  writer.u8(static_cast<std::uint8_t>(error.code));
  writer.text(std::string_view(error.doing).substr(0, max_doing_bytes));
  writer.text(std::string_view(error.why).substr(0, max_why_bytes));
  writer.u32(static_cast<std::uint32_t>(error.system_errno));
}

bool read_flag(WireReader& reader) {
  const std::uint8_t value = reader.u8();
  if (value > 1)
    reader.reject("a yes or no is neither 0 nor 1");
  return value == 1;
}

/// One byte that names a value of an enumeration with the values `first` to `last`.
template <typename Enum>
Enum read_enum(WireReader& reader, Enum first, Enum last, const char* name) {
  const std::uint8_t value = reader.u8();
  if (value >= static_cast<std::uint8_t>(first) && value <= static_cast<std::uint8_t>(last))
    return static_cast<Enum>(value);
  reader.reject(std::string(name) + " is unknown");
  return first;
}

Description read_description(WireReader& reader) {
  Description description;
  description.format =
      read_enum(reader, ImageFormat::elf, ImageFormat::bzimage, "the image format");
  description.compression =
      read_enum(reader, Compression::none, Compression::zstd, "the compression");
  description.plain_bytes = reader.u64();
  if (description.plain_bytes == 0 || description.plain_bytes > max_plain_bytes)
    reader.reject("the size of the plain kernel is not within its limit");
  description.pv = read_flag(reader);
  description.pvh = read_flag(reader);
  if (!description.pv && !description.pvh)
    reader.reject("the kernel can start neither as PV nor as PVH");
  description.load_bytes = reader.u64();
  if (description.load_bytes == 0 || description.load_bytes > max_load_bytes)
    reader.reject("the load size is not within its limit");
  description.guest_os = reader.text(max_guest_os_bytes);
  if (!std::ranges::all_of(description.guest_os, [](char c) { return c >= ' ' && c <= '~'; }))
    reader.reject("the name of the guest OS is not printable");
  return description;
}

Error read_error(WireReader& reader) {
  Error error;
  error.code = read_enum(reader, ErrorCode::invalid, ErrorCode::internal, "the error code");
  error.doing = printable(reader.text(max_doing_bytes), max_doing_bytes);
  error.why = printable(reader.text(max_why_bytes), max_why_bytes);
  error.system_errno = static_cast<int>(reader.u32());
  return error;
}

} // namespace

const char* to_string(ImageFormat format) {
  switch (format) {
  case ImageFormat::elf:
    return "elf";
  case ImageFormat::bzimage:
    return "bzimage";
  }
  return "unknown";
}

const char* to_string(Compression compression) {
  switch (compression) {
  case Compression::none:
    return "none";
  case Compression::gzip:
    return "gzip";
  case Compression::xz:
    return "xz";
  case Compression::lzma:
    return "lzma";
  case Compression::bzip2:
    return "bzip2";
  case Compression::lz4:
    return "lz4";
  case Compression::zstd:
    return "zstd";
  }
  return "unknown";
}

std::vector<std::byte> encode(const Report& report) {
  WireWriter writer;
  if (report.outcome)
    write_description(writer, *report.outcome);
  else
    write_error(writer, report.outcome.error());
  return writer.take();
}

Result<Report> decode_report(std::span<const std::byte> bytes) {
  const std::string what = "the inspector's report";
  if (bytes.size() > max_report_bytes)
    return failure(ErrorCode::invalid, "reading " + what, "it is longer than a report may be");
  WireReader reader(bytes);
  if (read_flag(reader)) {
    Report report{read_description(reader)};
    TRY(reader.end(what));
    return report;
  }
  Report report{std::unexpected(read_error(reader))};
  TRY(reader.end(what));
  return report;
}

} // namespace ashlar::inspector
