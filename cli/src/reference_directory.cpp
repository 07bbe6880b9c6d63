// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dirent.h>

#include <algorithm>
#include <memory>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/cli/evidence.hpp"
#include "ashlar/evidence/limits.hpp"

namespace ashlar::cli {

namespace {

constexpr std::string_view manifest_suffix = ".manifest";

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

Result<std::vector<std::string>> manifests_in(const std::string& directory) {
  const std::unique_ptr<DIR, CloseDirectory> open(opendir(directory.c_str()));
  if (!open)
    return errno_failure("opening the reference directory " + directory);
  std::vector<std::string> names;
  while (const dirent* const entry = readdir(open.get())) {
    const std::string name = entry->d_name;
    if (!name.ends_with(manifest_suffix) || name.size() == manifest_suffix.size())
      continue;
    if (names.size() == evidence::max_references)
      return limit_failure("reading the reference directory " + directory, "too many manifests",
                           std::to_string(evidence::max_references));
    names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

// The file's text; nothing: there is no such file.
Result<std::optional<std::string>> read_if_there(const std::string& path, std::uint64_t limit) {
  Result<std::string> text = read_file(path, limit);
  if (text)
    return std::optional(std::move(*text));
  if (text.error().code == ErrorCode::not_found)
    return std::nullopt;
  return std::unexpected(std::move(text).error());
}

// A file that must be there; `what` says what it is and which part of the manual has more.
Result<std::string> read_required(const std::string& path, const std::string& what) {
  Result<std::string> text = read_file(path, evidence::max_pem_bytes);
  if (!text && text.error().code == ErrorCode::not_found)
    text.error().why = what;
  return text;
}

Result<evidence::ReferenceFile> read_manifest(const std::string& directory,
                                              const std::string& name) {
  const std::string path = directory + "/" + name;
  evidence::ReferenceFile file;
  file.name = name;
  file.manifest = TRY(read_file(path, evidence::max_reference_bytes));
  const auto signature = TRY(read_if_there(path + ".cms", evidence::max_signature_bytes));
  if (signature) {
    const std::span<const std::byte> bytes = as_bytes(*signature);
    file.signature = evidence::Bytes(bytes.begin(), bytes.end());
  }
  return file;
}

} // namespace

Result<evidence::Trust> read_reference_directory(const std::string& directory) {
  evidence::Trust trust;
  const std::vector<std::string> manifests = TRY(manifests_in(directory));
  const std::string keys = TRY(read_required(
      directory + "/host-ak.pem",
      "it has the attestation keys of the hosts that you enrolled: see docs/attestation.md, "
      "\"Enrolling a host\""));
  trust.host_keys = TRY(evidence::read_keys(keys, directory + "/host-ak.pem"));
  trust.signers_pem = TRY(read_required(
      directory + "/signers.pem",
      "it has the certificates of those who may sign references: see docs/attestation.md, \"The "
      "reference directory\" and \"References\""));
  const std::string authorities = directory + "/ek-ca.pem";
  trust.endorsement_authorities = TRY(read_if_there(authorities, evidence::max_pem_bytes));
  if (trust.endorsement_authorities)
    TRY(evidence::require_authorities(*trust.endorsement_authorities, authorities));
  const std::string pcrs = directory + "/host.pcrs";
  if (const auto text = TRY(read_if_there(pcrs, evidence::max_file_bytes)))
    trust.firmware = TRY(evidence::read_pcr_choices(*text, pcrs));
  for (const std::string& name : manifests)
    trust.references.push_back(TRY(read_manifest(directory, name)));
  return trust;
}

} // namespace ashlar::cli
