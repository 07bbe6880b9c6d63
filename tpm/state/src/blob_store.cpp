// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm_state/blob_store.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>
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

/// Of all blobs there. What has another name is a blob that was being written, or somebody else's.
std::vector<measure::Sha256> names_in(const std::string& directory) {
  std::vector<measure::Sha256> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error))
    if (const auto name =
            measure::sha256_from_hex(entry.path().filename().string(), "a blob's name"))
      names.push_back(*name);
  return names;
}

/// A requester's name is the policy's, with any characters: each that is none of these is %XX.
std::string as_file_name(const std::string& name) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789-_";
  std::string file_name;
  for (const char letter : name)
    if (plain.contains(letter))
      file_name += letter;
    else
      file_name += fmt::format("%{:02X}", static_cast<unsigned char>(letter));
  return file_name;
}

} // namespace

std::string to_string(const BlobOwner& owner) {
  if (owner.requester.empty())
    return "the TPM Manager";
  return fmt::format("guest {} of {}", measure::to_string(owner.guest), printable(owner.requester));
}

std::string BlobStore::home(const BlobOwner& owner) const {
  if (owner.requester.empty())
    return directory_ + "/tpm-manager";
  return fmt::format("{}/guests/{}/{}", directory_, as_file_name(owner.requester),
                     measure::to_string(owner.guest));
}

std::vector<std::byte> BlobStore::answer(const BlobOwner& owner,
                                         std::span<const std::byte> packet) {
  const Result<Request> request = decode_request(packet);
  if (!request) {
    log::warning("{}: {}", to_string(owner), request.error().message());
    return encode(Answer{.outcome = Outcome::refused, .total = 0, .part = {}});
  }
  const Result<Answer> answer = perform(owner, *request);
  if (answer)
    return encode(*answer);
  log::error("{}: {}", to_string(owner), answer.error().message());
  return encode(Answer{.outcome = Outcome::failed, .total = 0, .part = {}});
}

void BlobStore::forget_parts(const BlobOwner& owner) {
  incoming_.erase(owner);
}

Result<Answer> BlobStore::perform(const BlobOwner& owner, const Request& request) {
  switch (request.operation) {
  case Operation::put:
    return put(owner, request);
  case Operation::get:
    return get(owner, request);
  case Operation::keep:
    return keep(owner, request.name);
  case Operation::list:
    return list(owner);
  }
  return Answer{.outcome = Outcome::refused, .total = 0, .part = {}};
}

Result<Answer> BlobStore::put(const BlobOwner& owner, const Request& request) {
  Incoming& blob = incoming_[owner];
  if (request.offset == 0)
    blob = Incoming{.name = request.name, .total = request.total, .bytes = {}};
  if (request.name != blob.name || request.total != blob.total ||
      request.offset != blob.bytes.size())
    return Answer{.outcome = Outcome::refused, .total = 0, .part = {}};
  blob.bytes.insert(blob.bytes.end(), request.part.begin(), request.part.end());
  if (blob.bytes.size() < blob.total)
    return Answer{.outcome = Outcome::done, .total = 0, .part = {}};
  const Incoming complete = std::move(incoming_.extract(owner).mapped());
  return store(owner, complete);
}

Result<Answer> BlobStore::store(const BlobOwner& owner, const Incoming& blob) const {
  const measure::Digests digests = TRY(measure::digest(blob.bytes));
  if (digests.sha256 != blob.name)
    return Answer{.outcome = Outcome::refused, .total = 0, .part = {}};
  TRY(tpm::make_directories(home(owner)));
  const std::string path = home(owner) + "/" + to_hex(blob.name);
  std::error_code error;
  if (!fs::exists(path, error) && names_in(home(owner)).size() >= max_blobs) {
    log::warning("{} has {} blobs already", to_string(owner), max_blobs);
    return Answer{.outcome = Outcome::limit, .total = 0, .part = {}};
  }
  TRY(tpm::stage(path, blob.bytes));
  TRY(tpm::put_in_place(path));
  return Answer{.outcome = Outcome::done, .total = 0, .part = {}};
}

Result<Answer> BlobStore::get(const BlobOwner& owner, const Request& request) const {
  const std::string path = home(owner) + "/" + to_hex(request.name);
  TRY(move_former(owner, to_hex(request.name)));
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

// Only who knows the blob's name, which is its digest, can have it moved.
Status BlobStore::move_former(const BlobOwner& owner, const std::string& name) const {
  if (owner.requester.empty())
    return {};
  const fs::path former = directory_ + "/" + measure::to_string(owner.guest);
  std::error_code error;
  if (!fs::exists(former / name, error))
    return {};
  TRY(tpm::make_directories(home(owner)));
  if (fs::rename(former / name, home(owner) + "/" + name, error); error)
    return failed("moving " + (former / name).string(), error);
  fs::remove(former, error); // when it is empty
  return {};
}

Result<Answer> BlobStore::list(const BlobOwner& owner) const {
  Answer answer{.outcome = Outcome::done, .total = 0, .part = {}};
  for (const measure::Sha256& name : names_in(home(owner)))
    if (answer.part.size() < max_blobs * name.size())
      answer.part.insert(answer.part.end(), name.begin(), name.end());
  answer.total = static_cast<std::uint32_t>(answer.part.size());
  return answer;
}

Result<Answer> BlobStore::keep(const BlobOwner& owner, const measure::Sha256& name) const {
  const std::string kept = to_hex(name);
  std::error_code error;
  if (!fs::exists(home(owner) + "/" + kept, error))
    return Answer{.outcome = Outcome::not_found, .total = 0, .part = {}};
  std::vector<fs::path> others;
  for (const fs::directory_entry& entry : fs::directory_iterator(home(owner), error))
    if (entry.path().filename() != kept)
      others.push_back(entry.path());
  for (const fs::path& other : others)
    if (fs::remove(other, error); error)
      return failed("removing " + other.string(), error);
  return Answer{.outcome = Outcome::done, .total = 0, .part = {}};
}

} // namespace ashlar::vtpm_state
