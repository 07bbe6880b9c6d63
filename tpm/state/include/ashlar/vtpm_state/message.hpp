// SPDX-License-Identifier: LGPL-2.1-or-later
// What a vTPM, or the TPM Manager, and the store of its state say to each other, over the tpmif
// device "vtpm-state" (ipc/tpmif.hpp): one packet asks, one answers. In the encoding of
// base/wire.hpp; docs/vtpm.md has the layout. A blob is named by its SHA-256, so that the store
// cannot give another one under its name; whose it is, the store knows from the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/digest.hpp"

namespace ashlar::vtpm_state {

inline constexpr std::uint8_t message_version = 1;

/// The TPM Manager's table of keys, full and sealed. A TPM 2.0 with its memory full is below 100
/// KiB.
inline constexpr std::uint32_t max_blob_bytes = (1u << 20) + 4096;
/// Blobs of one owner that are kept at a time: the one in use, the one that is to follow it, and
/// what crashes left behind until the next keep.
inline constexpr std::size_t max_blobs = 8;
/// Of a blob in one packet: 4088 bytes without the 46 of a request's header.
inline constexpr std::size_t max_part_bytes = 4040;

enum class Operation : std::uint8_t {
  put = 1,  // a part of a blob; parts come in order, and the last one makes it durable
  get = 2,  // the part that begins at `offset`
  keep = 3, // of all blobs of this owner, this one stays
  list = 4, // the names of all blobs of this owner; `name` is of no account
};

struct Request {
  Operation operation = Operation::get;
  measure::Sha256 name{};      // the blob's
  std::uint32_t total = 0;     // put: the blob's size, 1 to max_blob_bytes
  std::uint32_t offset = 0;    // put, get
  std::vector<std::byte> part; // put: 1 to max_part_bytes bytes
  bool operator==(const Request&) const = default;
};

enum class Outcome : std::uint8_t {
  done = 0,
  not_found = 1, // there is no such blob of this owner
  refused = 2,   // the request breaks a rule; put: not the next part, or not the bytes of the name
  limit = 3,     // max_blobs
  failed = 4,    // the store's own files
};

struct Answer {
  Outcome outcome = Outcome::failed;
  std::uint32_t total = 0; // get: the blob's size; list: that of the names
  // get: as much of it as fits, from `offset` on; empty at its end. list: the names, 32 bytes each
  std::vector<std::byte> part;
  bool operator==(const Answer&) const = default;
};

[[nodiscard]] std::vector<std::byte> encode(const Request& request);
[[nodiscard]] std::vector<std::byte> encode(const Answer& answer);
/// Read one message; the whole of `bytes` must be it. Errors: invalid. Safe on hostile input.
[[nodiscard]] Result<Request> decode_request(std::span<const std::byte> bytes);
[[nodiscard]] Result<Answer> decode_answer(std::span<const std::byte> bytes);

} // namespace ashlar::vtpm_state
