// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm/state_keeper.hpp"

#include <sys/random.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <thread>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/digest.hpp"
#include "ashlar/tpm/aes_gcm.hpp"
#include "ashlar/tpm/vtpm_message.hpp"
#include "ashlar/vtpm_state/client.hpp"

namespace ashlar::vtpm {

namespace {

using Bytes = std::vector<std::byte>;

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

/// The manager, for as long as it is asked again.
struct Asking {
  const Exchange& manager;
  const Time& time;
  std::chrono::seconds patience;
};

Result<tpm::VtpmResponse> ask(const Asking& asking, tpm::VtpmOrdinal ordinal,
                              std::span<const std::byte> body) {
  const Bytes packet = tpm::encode(tpm::VtpmRequest{ordinal, {body.begin(), body.end()}});
  const auto end = asking.time.now() + asking.patience;
  for (;;) {
    const Bytes answer = TRY(asking.manager(packet));
    tpm::VtpmResponse response = TRY(tpm::decode_vtpm_response(answer));
    if (response.status != tpm::VtpmStatus::too_often || asking.time.now() + ask_pause > end)
      return response;
    asking.time.pause(ask_pause);
  }
}

/// The manager says why in the body of a refusal.
std::unexpected<Error> refused(const std::string& doing, const tpm::VtpmResponse& response) {
  std::string why(reinterpret_cast<const char*>(response.body.data()), response.body.size());
  why = why.empty() ? "its log says why" : printable(why, tpm::max_vtpm_reason_bytes);
  return failure(ErrorCode::denied, doing,
                 fmt::format("it answers with status {}: {}",
                             static_cast<std::uint32_t>(response.status), why));
}

Result<std::optional<StateKey>> load_key(const Asking& manager) {
  const std::string doing = "asking the TPM Manager for the key of the guest's TPM";
  const tpm::VtpmResponse response = TRY(ask(manager, tpm::VtpmOrdinal::load_hash_key, {}));
  if (response.status == tpm::VtpmStatus::no_key)
    return std::nullopt;
  if (response.status != tpm::VtpmStatus::success)
    return refused(doing, response);
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

Status save_key(const Asking& manager, const StateKey& key) {
  Bytes body(key.name.begin(), key.name.end());
  body.insert(body.end(), key.key.begin(), key.key.end());
  const tpm::VtpmResponse response = TRY(ask(manager, tpm::VtpmOrdinal::save_hash_key, body));
  if (response.status == tpm::VtpmStatus::success)
    return {};
  return refused("saving the key of the guest's TPM with the TPM Manager", response);
}

} // namespace

Time real_time() {
  return {.now = std::chrono::steady_clock::now,
          .pause = [](std::chrono::seconds time) { std::this_thread::sleep_for(time); }};
}

Result<std::optional<Bytes>> StateKeeper::load() const {
  const std::string doing = "starting the guest's TPM";
  const std::optional<StateKey> key = TRY(load_key({manager_, time_, load_patience}));
  if (!key)
    return std::nullopt;
  if (!keeps())
    return failure(ErrorCode::denied, doing,
                   "this guest had a TPM, whose state no store keeps here: a domain of the boot "
                   "manifest needs vtpm_state_store = true, and the request the guest's UUID");
  const Bytes blob = TRY(vtpm_state::get_blob(store_, key->name, "loading the guest's TPM state"));
  std::optional<Bytes> state = TRY(tpm::decrypt(key->key, bound_to(owner_), blob));
  if (!state)
    return failure(ErrorCode::integrity, doing,
                   "its state is that of another guest or of another TPM version: ask for the "
                   "version that this guest had");
  // What was put there for keys that were not saved would fill the guest's room.
  TRY(vtpm_state::keep_blob(store_, key->name, "removing other states of the guest's TPM"));
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
  TRY(vtpm_state::put_blob(store_, key.name, blob, "saving the guest's TPM state"));
  TRY(save_key({manager_, time_, save_patience}, key));
  return vtpm_state::keep_blob(store_, key.name, "removing former states of the guest's TPM");
}

} // namespace ashlar::vtpm
