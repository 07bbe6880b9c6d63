// SPDX-License-Identifier: LGPL-2.1-or-later
// Encoding of a report (base/wire.hpp): u8 1 and the description, or u8 0 and the error.
#include "ashlar/inspector/report.hpp"

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"
#include "ashlar/inspector/limits.hpp"
#include "wire_error.hpp"

namespace ashlar::inspector {

namespace {

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
