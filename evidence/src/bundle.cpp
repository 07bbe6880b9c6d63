// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/evidence/bundle.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "archive.hpp"
#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/limits.hpp"

namespace ashlar::evidence {

namespace {

enum File : std::size_t {
  manifest,
  record,
  host_log,
  host_message,
  host_signature,
  host_key,
  host_pcrs,
  endorsement_key,
  endorsement_certificate,
  guest_message,
  guest_signature,
  guest_key,
  guest_pcrs,
  guest_log,
  file_count,
};
constexpr std::array<std::string_view, file_count> file_names = {
    "manifest",        "record",       "host.log",    "host.quote.msg", "host.quote.sig",
    "host.ak.pub",     "host.pcrs",    "host.ek.pub", "host.ek.crt",    "guest.quote.msg",
    "guest.quote.sig", "guest.ak.pub", "guest.pcrs",  "guest.log"};

using Files = std::array<std::span<const std::byte>, file_count>;

constexpr std::string_view reading = "reading the bundle";

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::unexpected<Error> bad(const std::string& why) {
  return failure(ErrorCode::invalid, std::string(reading), why);
}

Status check_size(std::size_t file, std::size_t size) {
  const std::size_t limit = file == host_log ? max_host_log_bytes : max_file_bytes;
  if (size > limit)
    return limit_failure(std::string(reading),
                         fmt::format("{} has {} bytes", file_names.at(file), size),
                         fmt::format("{} bytes", limit));
  if (size == 0)
    return bad(fmt::format("{} is empty", file_names.at(file)));
  return {};
}

// The names in their order; the certificate alone may be missing.
Result<Files> find_files(std::span<const ArchiveMember> members) {
  Files files;
  std::size_t next = 0;
  for (const ArchiveMember& member : members) {
    if (next == endorsement_certificate && member.name != file_names.at(next))
      ++next;
    if (next == file_count || member.name != file_names.at(next))
      return bad(fmt::format("it has the file \"{}\" where {} belongs", printable(member.name, 100),
                             next == file_count ? "the end" : file_names.at(next)));
    TRY(check_size(next, member.bytes.size()));
    files.at(next) = member.bytes;
    ++next;
  }
  if (next != file_count)
    return bad(fmt::format("it has no {}", file_names.at(next)));
  return files;
}

// The value of the next line, which must have this key.
Result<std::string_view> value_of(std::string_view& text, std::string_view key) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  if (end == text.npos || !line.starts_with(key) || !line.substr(key.size()).starts_with('='))
    return bad(fmt::format("the manifest has no line \"{}=…\" where it belongs", key));
  text.remove_prefix(end + 1);
  return line.substr(key.size() + 1);
}

Status read_manifest(std::string_view text, Bundle& into) {
  if (TRY(value_of(text, "ashlar-evidence")) != "1")
    return bad("its version is not 1: is this program older than the guest's?");
  const std::string_view nonce = TRY(value_of(text, "nonce"));
  if (nonce.find_first_not_of("0123456789abcdef") != nonce.npos)
    return bad("the manifest's nonce is not lower-case hexadecimal");
  into.nonce = TRY(measure::sha256_from_hex(nonce, "the manifest's nonce"));
  const std::string_view profile = TRY(value_of(text, "profile"));
  into.profile = TRY(measure::profile_from_text(profile));
  if (into.profile == measure::Profile::pv_grub)
    return bad("the profile pv-grub is that of a TPM 1.2, which gives no such evidence: have the "
               "guest built with --vtpm 2.0 and the profile uapi or grub");
  const std::string_view vtpm = TRY(value_of(text, "vtpm"));
  if (vtpm == "1.2")
    return bad("it is of a TPM 1.2, which gives no such evidence: have the guest built with "
               "--vtpm 2.0");
  if (vtpm != "2.0" || !text.empty())
    return bad("the manifest's last line is not \"vtpm=2.0\"");
  return {};
}

Bytes copy(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

} // namespace

Result<Bundle> read_bundle(std::span<const std::byte> bytes) {
  const std::vector<ArchiveMember> members = TRY(read_archive(bytes));
  const Files files = TRY(find_files(members));
  Bundle bundle;
  TRY(read_manifest(text_of(files[manifest]), bundle));
  if (files[host_log].size() % sizeof(measure::Sha256) != 0)
    return bad("host.log is no whole number of 32-byte digests: it is cut off");
  bundle.record = copy(files[record]);
  bundle.host_log = copy(files[host_log]);
  auto of_host = TRY(read_pcr_list(text_of(files[host_pcrs]), "host.pcrs"));
  bundle.host = {copy(files[host_message]), copy(files[host_signature]), copy(files[host_key]),
                 std::move(of_host)};
  bundle.endorsement_key = copy(files[endorsement_key]);
  bundle.endorsement_certificate = copy(files[endorsement_certificate]);
  auto of_guest = TRY(read_pcr_list(text_of(files[guest_pcrs]), "guest.pcrs"));
  bundle.guest = {copy(files[guest_message]), copy(files[guest_signature]), copy(files[guest_key]),
                  std::move(of_guest)};
  bundle.guest_log = copy(files[guest_log]);
  return bundle;
}

} // namespace ashlar::evidence
