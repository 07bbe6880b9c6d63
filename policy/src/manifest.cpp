// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/policy/manifest.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "read.hpp"

namespace ashlar::policy {

namespace {

constexpr std::array<std::string_view, 2> kind_words = {"kernel", "initrd"};

void read_manifest_image(Fields fields, ReleaseManifest& manifest) {
  const auto kind = fields.word("kind", kind_words);
  const auto digests = fields.digests("sha256");
  static_cast<void>(fields.text("label"));
  if (fields.entry("kind") == nullptr)
    fields.missing("kind", "write \"kernel\" or \"initrd\"");
  if (fields.entry("sha256") == nullptr)
    fields.missing("sha256", "write the digest that sha256sum prints for the file");
  fields.report_unknown();
  if (!kind)
    return;
  auto& list = kind->text == "kernel" ? manifest.kernels : manifest.initrds;
  for (const Fields::Digest& digest : digests)
    list.push_back(digest.sha256);
}

} // namespace

Result<ReleaseManifest> read_manifest_text(std::string_view text, const std::string& name) {
  const std::string doing = "reading the manifest";
  const auto document = parse_document({.name = name, .text = std::string(text)});
  if (!document)
    return failure(ErrorCode::invalid, doing, document.error().text());
  Findings findings;
  ReleaseManifest manifest;
  Fields file(*document, "the manifest", findings);
  if (const auto release = read_name(file, "release"))
    manifest.release = release->text;
  manifest.sequence = file.number("sequence", 1, max_sequence).value_or(0);
  for (const std::string_view key : {"release", "sequence", "image"})
    if (file.entry(key) == nullptr)
      file.missing(key, "a manifest must say it");
  read_tables(file, "image", findings,
              [&](const Fields& fields) { read_manifest_image(fields, manifest); });
  file.report_unknown();
  if (!findings.empty())
    return failure(ErrorCode::invalid, doing, findings.front().text());
  if (manifest.kernels.size() + manifest.initrds.size() > max_manifest_images)
    return limit_failure(doing, "it lists too many images",
                         fmt::format("{} images", max_manifest_images));
  return manifest;
}

} // namespace ashlar::policy
