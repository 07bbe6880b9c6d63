// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm/engine.hpp"

extern "C" {
#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_nvfilename.h>
}
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/vtpm/commands.hpp"

namespace ashlar::vtpm {

namespace {

using StateBytes = std::vector<unsigned char>;

// libtpms has one TPM a process, and its callbacks carry no context.
bool running = false;
std::map<std::string, StateBytes> state;
Engine::Keep keep;

TPM_RESULT state_init() {
  return TPM_SUCCESS;
}

TPM_RESULT state_load(unsigned char** data, std::uint32_t* length, std::uint32_t /*tpm*/,
                      const char* name) {
  const auto found = state.find(name);
  if (found == state.end())
    return TPM_RETRY; // "there is none": anything else is a failure
  *data = static_cast<unsigned char*>(std::malloc(found->second.size()));
  if (!*data)
    return TPM_FAIL;
  std::memcpy(*data, found->second.data(), found->second.size());
  *length = static_cast<std::uint32_t>(found->second.size());
  return TPM_SUCCESS;
}

TPM_RESULT state_store(const unsigned char* data, std::uint32_t length, std::uint32_t /*tpm*/,
                       const char* name) {
  StateBytes& kept = state[name];
  const bool changed = !std::ranges::equal(kept, std::span(data, length));
  kept.assign(data, data + length);
  // The other states are those of a suspended TPM, and a vTPM always starts anew.
  if (!keep || !changed || std::string_view(name) != TPM_PERMANENT_ALL_NAME)
    return TPM_SUCCESS;
  const Status done = keep(std::as_bytes(std::span(kept)));
  if (done)
    return TPM_SUCCESS;
  log::error("the TPM fails, because its state cannot be kept: {}", done.error().message());
  return TPM_FAIL;
}

TPM_RESULT state_delete(std::uint32_t /*tpm*/, const char* name, TPM_BOOL must_exist) {
  return state.erase(name) != 0 || !must_exist ? TPM_SUCCESS : TPM_FAIL;
}

TPM_RESULT io_init() {
  return TPM_SUCCESS;
}

TPM_RESULT locality(TPM_MODIFIER_INDICATOR* number, std::uint32_t /*tpm*/) {
  *number = 0;
  return TPM_SUCCESS;
}

TPM_RESULT physical_presence(TPM_BOOL* present, std::uint32_t /*tpm*/) {
  *present = 0;
  return TPM_SUCCESS;
}

Status check(TPM_RESULT result, const char* doing) {
  if (result == TPM_SUCCESS)
    return {};
  return failure(ErrorCode::internal, doing, fmt::format("libtpms fails with {:#x}", result));
}

using Body = std::vector<std::uint8_t>;

Status send(Engine& engine, std::uint16_t tag, std::uint32_t code, const Body& body,
            const std::string& doing) {
  TRY(run(engine, command(tag, code, std::as_bytes(std::span(body))), doing));
  return {};
}

constexpr std::uint32_t ord_startup = 0x99;
constexpr std::uint32_t ord_get_capability = 0x65;
// TPM_CAP_FLAG, of 4 bytes: TPM_CAP_FLAG_PERMANENT.
constexpr auto get_permanent_flags =
    std::to_array<std::uint8_t>({0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 1, 8});
constexpr std::uint32_t ord_physical_presence = 0x4000000a; // TSC_ORD_PhysicalPresence
constexpr std::uint32_t cc_startup = 0x144;
constexpr std::uint32_t cc_self_test = 0x143;
constexpr std::uint32_t cc_pcr_allocate = 0x12b;
constexpr std::uint32_t cc_hierarchy_control = 0x121;

/// Authorises a command by the platform hierarchy, whose password is empty as each TPM 2.0 begins:
/// its handle, then a password session of 9 bytes.
Status send_as_platform(Engine& engine, std::uint32_t code, const Body& parameters,
                        const std::string& doing) {
  Body body{0x40, 0x00, 0x00, 0x0c, 0x00, 0x00, 0x00, 0x09, 0x40,
            0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00};
  body.insert(body.end(), parameters.begin(), parameters.end());
  return send(engine, tag_authorised, code, body, doing);
}

Status startup(Engine& engine) {
  if (engine.version() == measure::Vtpm::tpm12)
    return send(engine, tag_tpm12, ord_startup, Body{0x00, 0x01}, "starting the TPM 1.2");
  return send(engine, tag_plain, cc_startup, Body{0x00, 0x00}, "starting the TPM 2.0");
}

// TPM_PERMANENT_FLAGS as TPM_GetCapability gives them: a tag, then a byte a flag (TPM 1.2 part
// 2, 7.1).
Status check_enabled(Engine& engine) {
  const std::string doing = "asking whether the TPM 1.2 is enabled";
  constexpr std::size_t disable = 2, deactivated = 4, least_size = 5;
  const auto flags = TRY(run(
      engine, command(tag_tpm12, ord_get_capability, std::as_bytes(std::span(get_permanent_flags))),
      doing));
  constexpr std::size_t before = sizeof(std::uint32_t); // the flags' size
  if (flags.size() < before + least_size || flags[before + disable] != std::byte{} ||
      flags[before + deactivated] != std::byte{})
    return failure(ErrorCode::internal, doing,
                   "it is not: its state was not made by libtpms as it leaves the factory here");
  return {};
}

// Without this a guest could claim to sit at the keyboard: CMD_ENABLE, then NOTPRESENT and LOCK.
Status lock_presence(Engine& engine) {
  const std::string doing = "locking physical presence";
  TRY(send(engine, tag_tpm12, ord_physical_presence, Body{0x00, 0x20}, doing));
  return send(engine, tag_tpm12, ord_physical_presence, Body{0x00, 0x14}, doing);
}

// A bank that nobody extends would say of any guest that nothing was measured, and the guest could
// then write into it what it likes: SHA-512 goes.
Status allocate_banks(Engine& engine) {
  return send_as_platform(engine, cc_pcr_allocate,
                          {0x00, 0x00, 0x00, 0x04,             // selections: algorithm, 24 PCRs
                           0x00, 0x04, 0x03, 0xff, 0xff, 0xff, // SHA-1
                           0x00, 0x0b, 0x03, 0xff, 0xff, 0xff, // SHA-256
                           0x00, 0x0c, 0x03, 0xff, 0xff, 0xff, // SHA-384
                           0x00, 0x0d, 0x03, 0x00, 0x00, 0x00},
                          "choosing the banks of the TPM 2.0");
}

// As firmware does before a system boots: banks cannot be chosen anew, nor the TPM cleared by it.
Status close_platform(Engine& engine) {
  return send_as_platform(engine, cc_hierarchy_control, {0x40, 0x00, 0x00, 0x0c, 0x00},
                          "closing the platform hierarchy of the TPM 2.0");
}

} // namespace

Result<std::unique_ptr<Engine>> Engine::start(measure::Vtpm version,
                                              std::span<const std::byte> saved) {
  if (running)
    return failure(ErrorCode::busy, "starting a TPM", "this process has one");
  std::unique_ptr<Engine> engine(new Engine(version));
  running = true;
  state.clear();
  if (!saved.empty()) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(saved.data());
    state[TPM_PERMANENT_ALL_NAME].assign(bytes, bytes + saved.size());
  }
  TRY(check(TPMLIB_ChooseTPMVersion(version == measure::Vtpm::tpm12 ? TPMLIB_TPM_VERSION_1_2
                                                                    : TPMLIB_TPM_VERSION_2),
            "choosing the TPM's version"));
  libtpms_callbacks callbacks{};
  callbacks.sizeOfStruct = sizeof callbacks;
  callbacks.tpm_nvram_init = state_init;
  callbacks.tpm_nvram_loaddata = state_load;
  callbacks.tpm_nvram_storedata = state_store;
  callbacks.tpm_nvram_deletename = state_delete;
  callbacks.tpm_io_init = io_init;
  callbacks.tpm_io_getlocality = locality;
  callbacks.tpm_io_getphysicalpresence = physical_presence;
  TRY(check(TPMLIB_RegisterCallbacks(&callbacks), "registering callbacks with libtpms"));
  TRY(engine->prepare());
  return engine;
}

Engine::~Engine() {
  TPMLIB_Terminate();
  keep = nullptr;
  running = false;
}

Status Engine::keep_state(Keep wanted) {
  TRY(wanted(std::as_bytes(std::span(state[TPM_PERMANENT_ALL_NAME]))));
  keep = std::move(wanted);
  return {};
}

Status Engine::power_on() {
  TRY(check(TPMLIB_MainInit(), "powering the TPM on"));
  return startup(*this);
}

Status Engine::prepare() {
  TRY(power_on());
  if (version_ == measure::Vtpm::tpm12) {
    TRY(check_enabled(*this));
    return lock_presence(*this);
  }
  // The banks chosen now hold from the next reset on.
  TRY(allocate_banks(*this));
  TPMLIB_Terminate();
  TRY(power_on());
  TRY(send(*this, tag_plain, cc_self_test, Body{1}, "testing the TPM 2.0"));
  return close_platform(*this);
}

Result<std::vector<std::byte>> Engine::process(std::span<const std::byte> packet) {
  // libtpms may write to the command's buffer.
  std::vector<std::byte> copy(packet.begin(), packet.end());
  unsigned char* answer = nullptr;
  std::uint32_t size = 0;
  std::uint32_t capacity = 0;
  const TPM_RESULT result =
      TPMLIB_Process(&answer, &size, &capacity, reinterpret_cast<unsigned char*>(copy.data()),
                     static_cast<std::uint32_t>(copy.size()));
  const std::unique_ptr<unsigned char, decltype(&std::free)> owned(answer, &std::free);
  TRY(check(result, "processing a TPM command"));
  const auto bytes = std::as_bytes(std::span(answer, size));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

} // namespace ashlar::vtpm
