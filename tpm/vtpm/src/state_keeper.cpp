// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm/state_keeper.hpp"

#include <sys/random.h>

#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/digest.hpp"
#include "ashlar/tpm/aes_gcm.hpp"
#include "ashlar/tpm/vtpm_message.hpp"
#include "ashlar/vtpm_state/message.hpp"

namespace ashlar::vtpm {

namespace {

using Bytes = std::vector<std::byte>;

// The store may have been started anew in the middle, and then has only some of the parts.
constexpr int save_attempts = 3;

/// What the manager keeps, as the 64-byte form of the stock vTPM's blob: the SHA-256 of what the
/// store has, then the key that opens it.
struct StateKey {
  measure::Sha256 name{};
  tpm::AesKey key{};
};
constexpr std::size_t state_key_bytes = 64;

Bytes bound_to(const StateOwner& owner) {
  constexpr std::string_view label = "ashlar vtpm state 1";
  const auto text = as_bytes(label);
  Bytes bound(text.begin(), text.end());
  bound.insert(bound.end(), owner.guest.begin(), owner.guest.end());
  bound.push_back(static_cast<std::byte>(owner.version));
  return bound;
}

Result<tpm::VtpmResponse> ask_manager(const Exchange& manager, tpm::VtpmOrdinal ordinal,
                                      std::span<const std::byte> body) {
  const Bytes answer =
      TRY(manager(tpm::encode(tpm::VtpmRequest{ordinal, {body.begin(), body.end()}})));
  return tpm::decode_vtpm_response(answer);
}

Result<std::optional<StateKey>> load_key(const Exchange& manager) {
  const std::string doing = "asking the TPM Manager for the key of the guest's TPM";
  const tpm::VtpmResponse response = TRY(ask_manager(manager, tpm::VtpmOrdinal::load_hash_key, {}));
  if (response.status == tpm::VtpmStatus::no_key)
    return std::nullopt;
  if (response.status != tpm::VtpmStatus::success)
    return failure(ErrorCode::denied, doing,
                   fmt::format("it answers with status {}; its log says why",
                               static_cast<std::uint32_t>(response.status)));
  if (response.body.size() != state_key_bytes)
    return failure(ErrorCode::integrity, doing,
                   fmt::format("it has {} bytes, which another program saved: give the guest a new "
                               "UUID, or that program's vTPM",
                               response.body.size()));
  StateKey key;
  std::ranges::copy(std::span(response.body).first(key.name.size()), key.name.begin());
  std::ranges::copy(std::span(response.body).last(key.key.size()), key.key.begin());
  return key;
}

Status save_key(const Exchange& manager, const StateKey& key) {
  Bytes body(key.name.begin(), key.name.end());
  body.insert(body.end(), key.key.begin(), key.key.end());
  const tpm::VtpmResponse response =
      TRY(ask_manager(manager, tpm::VtpmOrdinal::save_hash_key, body));
  if (response.status == tpm::VtpmStatus::success)
    return {};
  return failure(ErrorCode::denied, "saving the key of the guest's TPM with the TPM Manager",
                 fmt::format("it answers with status {}; its log says why",
                             static_cast<std::uint32_t>(response.status)));
}

Result<vtpm_state::Answer> ask_store(const Exchange& store, const vtpm_state::Request& request,
                                     const std::string& doing) {
  const Bytes packet = TRY(store(vtpm_state::encode(request)));
  vtpm_state::Answer answer = TRY(vtpm_state::decode_answer(packet));
  switch (answer.outcome) {
  case vtpm_state::Outcome::done:
    return answer;
  case vtpm_state::Outcome::not_found:
    return failure(
        ErrorCode::integrity, doing,
        fmt::format("the store has lost it: bring back its file {}", to_hex(request.name)));
  case vtpm_state::Outcome::limit:
    return limit_failure(doing, "the store has too many states of this guest",
                         "max_blobs of ashlar-vtpm-store");
  default:
    return failure(ErrorCode::io, doing,
                   fmt::format("the store answers with {}; its log says why",
                               static_cast<unsigned>(answer.outcome)));
  }
}

Result<Bytes> get_blob(const Exchange& store, const measure::Sha256& name) {
  const std::string doing = "loading the guest's TPM state";
  Bytes blob;
  for (;;) {
    vtpm_state::Request request{.operation = vtpm_state::Operation::get, .name = name, .part = {}};
    request.offset = static_cast<std::uint32_t>(blob.size());
    const vtpm_state::Answer answer = TRY(ask_store(store, request, doing));
    blob.insert(blob.end(), answer.part.begin(), answer.part.end());
    if (blob.size() >= answer.total)
      break;
    if (answer.part.empty())
      return failure(ErrorCode::integrity, doing, "the store gives only a part of it");
  }
  // An old state is one that was good once: only its name tells.
  if (TRY(measure::digest(blob)).sha256 != name)
    return failure(ErrorCode::integrity, doing,
                   fmt::format("the store gives another or an older state: bring back its file {}",
                               to_hex(name)));
  return blob;
}

Status put_blob(const Exchange& store, const measure::Sha256& name, const Bytes& blob) {
  const std::span<const std::byte> all(blob);
  for (std::size_t offset = 0; offset < all.size(); offset += vtpm_state::max_part_bytes) {
    const auto rest = all.subspan(offset);
    const auto part = rest.first(std::min(rest.size(), vtpm_state::max_part_bytes));
    TRY(ask_store(store,
                  {.operation = vtpm_state::Operation::put,
                   .name = name,
                   .total = static_cast<std::uint32_t>(blob.size()),
                   .offset = static_cast<std::uint32_t>(offset),
                   .part = {part.begin(), part.end()}},
                  "saving the guest's TPM state"));
  }
  return {};
}

Status put_patiently(const Exchange& store, const measure::Sha256& name, const Bytes& blob) {
  Status put = put_blob(store, name, blob);
  for (int attempt = 1; !put && attempt < save_attempts; ++attempt)
    put = put_blob(store, name, blob);
  return put;
}

} // namespace

Result<std::optional<Bytes>> StateKeeper::load() const {
  const std::string doing = "starting the guest's TPM";
  const std::optional<StateKey> key = TRY(load_key(manager_));
  if (!key)
    return std::nullopt;
  if (!keeps())
    return failure(ErrorCode::denied, doing,
                   "this guest had a TPM, whose state no store keeps here: a domain of the boot "
                   "manifest needs vtpm_state_store = true, and the request the guest's UUID");
  const Bytes blob = TRY(get_blob(store_, key->name));
  std::optional<Bytes> state = TRY(tpm::decrypt(key->key, bound_to(owner_), blob));
  if (!state)
    return failure(ErrorCode::integrity, doing,
                   "its state is that of another guest or of another TPM version: ask for the "
                   "version that this guest had");
  return state;
}

// In this order a crash at any point leaves a key whose state the store has.
Status StateKeeper::save(std::span<const std::byte> state) const {
  if (state.size() + tpm::gcm_nonce_bytes + tpm::gcm_tag_bytes > vtpm_state::max_blob_bytes)
    return limit_failure("saving the guest's TPM state",
                         fmt::format("it has {} bytes", state.size()),
                         fmt::format("{} bytes", vtpm_state::max_blob_bytes));
  StateKey key;
  if (getrandom(key.key.data(), key.key.size(), 0) != static_cast<ssize_t>(key.key.size()))
    return errno_failure("making a key for the guest's TPM state");
  const Bytes blob = TRY(tpm::encrypt(key.key, bound_to(owner_), state));
  key.name = TRY(measure::digest(blob)).sha256;
  TRY(put_patiently(store_, key.name, blob));
  TRY(save_key(manager_, key));
  TRY(ask_store(store_, {.operation = vtpm_state::Operation::keep, .name = key.name, .part = {}},
                "removing former states of the guest's TPM"));
  return {};
}

} // namespace ashlar::vtpm
