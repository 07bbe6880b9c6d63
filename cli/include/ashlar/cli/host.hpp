// SPDX-License-Identifier: LGPL-2.1-or-later
// What `ashlar host` shows of the machine's TPM, and the files by which an owner enrols the
// machine.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/evidence/key.hpp"
#include "ashlar/evidence/pcr_list.hpp"
#include "ashlar/ipc/message.hpp"

namespace ashlar::cli {

using Bytes = std::vector<std::byte>;

/// A public key of the TPM.
struct TpmKey {
  Bytes tpm2b; // TPM2B_PUBLIC
  Bytes name;  // its Name, by which a credential is made for it
  evidence::Key key;
};

struct HostKeys {
  TpmKey attestation;
  TpmKey endorsement;
  Bytes certificate; // DER; empty: the TPM has none
  evidence::PcrList pcrs;
};

/// Reads what the builder sent. Errors: invalid, unsupported.
[[nodiscard]] Result<HostKeys> host_keys_of(const ashlar_v1_HostKeys& message);

/// "key: value" lines.
[[nodiscard]] std::string host_keys_text(const HostKeys& keys);
/// {"ak":{…},"ek":{…},"pcrs":{"sha256":{…}}}. Errors: internal.
[[nodiscard]] Result<nlohmann::ordered_json> host_keys_json(const HostKeys& keys);

/// Writes the keys, the certificate and the firmware's PCRs as files of a directory, which is made
/// if it is not there. Gives the names of the files. Errors: exists (one is there already), denied,
/// not_found, io.
[[nodiscard]] Result<std::vector<std::string>> export_host(const HostKeys& keys,
                                                           const std::string& directory);

} // namespace ashlar::cli
