// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm_state/blob_store.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/tpm/durable_file.hpp"

namespace ashlar::vtpm_state {

namespace fs = std::filesystem;

namespace {

std::unexpected<Error> failed(const std::string& doing, const std::error_code& error) {
  return failure(ErrorCode::io, doing, error.message(), error.value());
}

std::size_t count_entries(const std::string& directory) {
  std::error_code error;
  const fs::directory_iterator entries(directory, error);
  return error ? 0 : static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

} // namespace

std::string BlobStore::home(const measure::Uuid& guest) const {
  return directory_ + "/" + measure::to_string(guest);
}

std::vector<std::byte> BlobStore::answer(const measure::Uuid& guest,
                                         std::span<const std::byte> packet) {
  const Result<Request> request = decode_request(packet);
  if (!request) {
    log::warning("guest {}: {}", measure::to_string(guest), request.error().message());
    return encode(Answer{.outcome = Outcome::refused, .total = 0, .part = {}});
  }
  const Result<Answer> answer = perform(guest, *request);
  if (answer)
    return encode(*answer);
  log::error("guest {}: {}", measure::to_string(guest), answer.error().message());
  return encode(Answer{.outcome = Outcome::failed, .total = 0, .part = {}});
}

void BlobStore::forget_parts(const measure::Uuid& guest) {
  incoming_.erase(guest);
}

Result<Answer> BlobStore::perform(const measure::Uuid& guest, const Request& request) {
  switch (request.operation) {
  case Operation::put:
    return put(guest, request);
  case Operation::get:
    return get(guest, request);
  case Operation::keep:
    return keep(guest, request.name);
  }
  return Answer{.outcome = Outcome::refused, .total = 0, .part = {}};
}

Result<Answer> BlobStore::put(const measure::Uuid& guest, const Request& request) {
  Incoming& blob = incoming_[guest];
  if (request.offset == 0)
    blob = Incoming{.name = request.name, .total = request.total, .bytes = {}};
  if (request.name != blob.name || request.total != blob.total ||
      request.offset != blob.bytes.size())
    return Answer{.outcome = Outcome::refused, .total = 0, .part = {}};
  blob.bytes.insert(blob.bytes.end(), request.part.begin(), request.part.end());
  if (blob.bytes.size() < blob.total)
    return Answer{.outcome = Outcome::done, .total = 0, .part = {}};
  const Incoming complete = std::move(incoming_.extract(guest).mapped());
  return store(guest, complete);
}

Result<Answer> BlobStore::store(const measure::Uuid& guest, const Incoming& blob) const {
  const measure::Digests digests = TRY(measure::digest(blob.bytes));
  if (digests.sha256 != blob.name)
    return Answer{.outcome = Outcome::refused, .total = 0, .part = {}};
  std::error_code error;
  if (fs::create_directories(home(guest), error); error)
    return failed("creating " + home(guest), error);
  const std::string path = home(guest) + "/" + to_hex(blob.name);
  if (!fs::exists(path, error) && count_entries(home(guest)) >= max_blobs) {
    log::warning("guest {} has {} blobs already", measure::to_string(guest), max_blobs);
    return Answer{.outcome = Outcome::limit, .total = 0, .part = {}};
  }
  TRY(tpm::stage(path, blob.bytes));
  TRY(tpm::put_in_place(path));
  return Answer{.outcome = Outcome::done, .total = 0, .part = {}};
}

Result<Answer> BlobStore::get(const measure::Uuid& guest, const Request& request) const {
  const std::string path = home(guest) + "/" + to_hex(request.name);
  std::error_code error;
  if (!fs::exists(path, error))
    return Answer{.outcome = Outcome::not_found, .total = 0, .part = {}};
  const std::string blob = TRY(read_file(path, max_blob_bytes));
  if (request.offset > blob.size())
    return Answer{.outcome = Outcome::refused, .total = 0, .part = {}};
  const auto rest = as_bytes(blob).subspan(request.offset);
  const auto part = rest.first(std::min(rest.size(), max_part_bytes));
  return Answer{.outcome = Outcome::done,
                .total = static_cast<std::uint32_t>(blob.size()),
                .part = {part.begin(), part.end()}};
}

Result<Answer> BlobStore::keep(const measure::Uuid& guest, const measure::Sha256& name) const {
  const std::string kept = to_hex(name);
  std::error_code error;
  if (!fs::exists(home(guest) + "/" + kept, error))
    return Answer{.outcome = Outcome::not_found, .total = 0, .part = {}};
  std::vector<fs::path> others;
  for (const fs::directory_entry& entry : fs::directory_iterator(home(guest), error))
    if (entry.path().filename() != kept)
      others.push_back(entry.path());
  for (const fs::path& other : others)
    if (fs::remove(other, error); error)
      return failed("removing " + other.string(), error);
  return Answer{.outcome = Outcome::done, .total = 0, .part = {}};
}

} // namespace ashlar::vtpm_state
