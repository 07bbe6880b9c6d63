// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/host.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/evidence/limits.hpp"
#include "ashlar/evidence/text_forms.hpp"
#include "ashlar/evidence/tpm_structures.hpp"

namespace ashlar::cli {

namespace {

using Json = nlohmann::ordered_json;

template <typename Field>
Bytes copy_of(const Field& field) {
  const std::span<const std::byte> bytes = ipc::bytes_of(field);
  return {bytes.begin(), bytes.end()};
}

Result<TpmKey> key_of(Bytes tpm2b, const std::string& what) {
  TpmKey key;
  key.name = TRY(evidence::name_of(tpm2b, what));
  key.key = TRY(evidence::read_public(tpm2b, what)).key;
  key.tpm2b = std::move(tpm2b);
  return key;
}

Result<Json> json_of(const TpmKey& key) {
  Json json = {{"name", to_hex(key.name)}};
  json["tpm2b_public"] = TRY(evidence::base64(key.tpm2b));
  json["pem"] = TRY(evidence::pem_of(key.key));
  return json;
}

// Nothing is overwritten: a file of this name may be of another machine, or a reference in use.
Status write_new(const std::string& path, std::span<const std::byte> bytes) {
  constexpr mode_t mode = 0644;
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!file && errno == EEXIST)
    return failure(ErrorCode::exists, "writing " + path,
                   "it is there already: name another directory, or remove it");
  if (!file)
    return errno_failure("writing " + path);
  return write_all(file.value(), bytes, path);
}

} // namespace

Result<HostKeys> host_keys_of(const ashlar_v1_HostKeys& message) {
  HostKeys keys;
  keys.attestation = TRY(key_of(copy_of(message.attestation_key), "the attestation key"));
  keys.endorsement = TRY(key_of(copy_of(message.endorsement_key), "the endorsement key"));
  keys.certificate = copy_of(message.endorsement_certificate);
  for (pb_size_t i = 0; i < message.pcrs_count; ++i) {
    const std::span<const std::byte> value = ipc::bytes_of(message.pcrs[i].sha256);
    measure::Sha256& out = keys.pcrs[message.pcrs[i].pcr];
    if (value.size() != out.size())
      return failure(ErrorCode::invalid, "reading the PCRs of the host",
                     fmt::format("PCR {} has {} bytes", message.pcrs[i].pcr, value.size()));
    std::ranges::copy(value, out.begin());
  }
  return keys;
}

std::string host_keys_text(const HostKeys& keys) {
  std::string text = fmt::format(
      "attestation key: {}\nendorsement key: {}\nendorsement certificate: {}\n",
      evidence::describe(keys.attestation.key), evidence::describe(keys.endorsement.key),
      keys.certificate.empty() ? "none" : fmt::format("{} bytes", keys.certificate.size()));
  for (const auto& [pcr, value] : keys.pcrs)
    if (pcr < evidence::firmware_pcrs) // the host PCR is in the state
      text += fmt::format("PCR {} sha256: {}\n", pcr, to_hex(value));
  return text;
}

Result<Json> host_keys_json(const HostKeys& keys) {
  Json values = Json::object();
  for (const auto& [pcr, value] : keys.pcrs)
    values[std::to_string(pcr)] = to_hex(value);
  Json object;
  object["ak"] = TRY(json_of(keys.attestation));
  object["ek"] = TRY(json_of(keys.endorsement));
  object["ek"]["certificate"] = nullptr;
  if (!keys.certificate.empty())
    object["ek"]["certificate"] = TRY(evidence::pem_block("CERTIFICATE", keys.certificate));
  object["pcrs"]["sha256"] = values;
  return object;
}

Result<std::vector<std::string>> export_host(const HostKeys& keys, const std::string& directory) {
  constexpr mode_t mode = 0755;
  std::vector<std::pair<std::string, Bytes>> files;
  const auto add_text = [&files](const char* name, const std::string& text) {
    const std::span<const std::byte> bytes = as_bytes(text);
    files.emplace_back(name, Bytes(bytes.begin(), bytes.end()));
  };
  files.emplace_back("host.ak.pub", keys.attestation.tpm2b);
  add_text("host-ak.pem", TRY(evidence::pem_of(keys.attestation.key)));
  files.emplace_back("host.ek.pub", keys.endorsement.tpm2b);
  add_text("host-ek.pem", TRY(evidence::pem_of(keys.endorsement.key)));
  if (!keys.certificate.empty()) {
    files.emplace_back("host.ek.crt", keys.certificate);
    add_text("host-ek-crt.pem", TRY(evidence::pem_block("CERTIFICATE", keys.certificate)));
  }
  add_text("host.pcrs", evidence::firmware_reference(keys.pcrs));
  if (mkdir(directory.c_str(), mode) != 0 && errno != EEXIST)
    return errno_failure("making the directory " + directory);
  const std::string folder = directory + "/";
  std::vector<std::string> names;
  for (const auto& [name, content] : files) {
    TRY(write_new(folder + name, content));
    names.push_back(name);
  }
  return names;
}

namespace {

Outcome<std::string> answer(const Arguments& arguments, const ashlar_v1_HostState& state,
                            const std::optional<HostKeys>& keys) {
  std::vector<std::string> files;
  if (!arguments.export_directory.empty())
    files = TRY(export_host(*keys, arguments.export_directory));
  if (!arguments.json) {
    std::string text = host_text(state) + (keys ? host_keys_text(*keys) : "");
    for (const std::string& file : files)
      text += fmt::format("wrote {}/{}\n", arguments.export_directory, file);
    return text;
  }
  Json object = host_json(state);
  if (keys)
    object.update(TRY(host_keys_json(*keys)));
  return json_text(object) + "\n";
}

} // namespace

Outcome<std::string> host(const Arguments& arguments, Session& session) {
  ipc::Request request{};
  request.which_verb = ashlar_v1_Request_host_tag;
  request.verb.host.keys = true;
  std::optional<ashlar_v1_HostState> state;
  std::optional<ashlar_v1_HostKeys> message;
  const auto called = session.call(request, [&](const ipc::Response& part) {
    if (part.which_part == ashlar_v1_Response_host_state_tag)
      state = part.part.host_state;
    if (part.which_part == ashlar_v1_Response_host_keys_tag)
      message = part.part.host_keys;
  });
  // The state comes first, and is worth showing where a TPM does not give its keys.
  if (!called && (!state || !arguments.export_directory.empty()))
    return std::unexpected(called.error());
  if (!called)
    std::fputs(
        fmt::format("warning: the TPM's keys are not shown: {}\n", called.error().message).c_str(),
        stderr);
  // A builder of before there were keys sends none.
  if (!state || (!message && !arguments.export_directory.empty()))
    return std::unexpected(
        Problem::transport({ErrorCode::invalid, "reading the builder's answer",
                            fmt::format("it ended without the {} of the TPM; is the builder older?",
                                        state ? "keys" : "state"),
                            0}));
  std::optional<HostKeys> keys;
  if (message)
    keys = TRY(host_keys_of(*message));
  return answer(arguments, *state, keys);
}

} // namespace ashlar::cli
