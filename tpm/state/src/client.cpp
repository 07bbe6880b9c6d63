// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/vtpm_state/client.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar::vtpm_state {

namespace {

// The store may have been started anew in the middle, and then has only some of the parts.
constexpr int put_attempts = 3;

Result<Answer> ask(const Exchange& exchange, const Request& request, const std::string& doing) {
  const std::vector<std::byte> packet = TRY(exchange(encode(request)));
  Answer answer = TRY(decode_answer(packet));
  switch (answer.outcome) {
  case Outcome::done:
    return answer;
  case Outcome::not_found:
    return failure(
        ErrorCode::integrity, doing,
        fmt::format("the store has lost it: bring back its file {}", to_hex(request.name)));
  case Outcome::limit:
    return limit_failure(doing, "the store has too many blobs of this owner",
                         fmt::format("{} blobs", max_blobs));
  default:
    return failure(ErrorCode::io, doing,
                   fmt::format("the store answers with {}; its log says why",
                               static_cast<unsigned>(answer.outcome)));
  }
}

Request named(Operation operation, const measure::Sha256& name) {
  return {.operation = operation, .name = name, .total = 0, .offset = 0, .part = {}};
}

Status put_once(const Exchange& exchange, const measure::Sha256& name,
                std::span<const std::byte> blob, const std::string& doing) {
  for (std::size_t offset = 0; offset < blob.size(); offset += max_part_bytes) {
    const auto rest = blob.subspan(offset);
    const auto part = rest.first(std::min(rest.size(), max_part_bytes));
    TRY(ask(exchange,
            {.operation = Operation::put,
             .name = name,
             .total = static_cast<std::uint32_t>(blob.size()),
             .offset = static_cast<std::uint32_t>(offset),
             .part = {part.begin(), part.end()}},
            doing));
  }
  return {};
}

} // namespace

Result<std::vector<std::byte>> get_blob(const Exchange& exchange, const measure::Sha256& name,
                                        const std::string& doing) {
  std::vector<std::byte> blob;
  for (;;) {
    Request request = named(Operation::get, name);
    request.offset = static_cast<std::uint32_t>(blob.size());
    const Answer answer = TRY(ask(exchange, request, doing));
    blob.insert(blob.end(), answer.part.begin(), answer.part.end());
    if (blob.size() >= answer.total)
      break;
    if (answer.part.empty())
      return failure(ErrorCode::integrity, doing, "the store gives only a part of it");
  }
  // An old blob is one that was good once: only its name tells.
  if (TRY(measure::digest(blob)).sha256 != name)
    return failure(ErrorCode::integrity, doing,
                   fmt::format("the store gives another or an older state: bring back its file {}",
                               to_hex(name)));
  return blob;
}

Status put_blob(const Exchange& exchange, const measure::Sha256& name,
                std::span<const std::byte> blob, const std::string& doing) {
  Status put = put_once(exchange, name, blob, doing);
  for (int attempt = 1; !put && attempt < put_attempts; ++attempt)
    put = put_once(exchange, name, blob, doing);
  return put;
}

Status keep_blob(const Exchange& exchange, const measure::Sha256& name, const std::string& doing) {
  TRY(ask(exchange, named(Operation::keep, name), doing));
  return {};
}

Result<std::vector<measure::Sha256>> list_blobs(const Exchange& exchange,
                                                const std::string& doing) {
  const Answer answer = TRY(ask(exchange, named(Operation::list, {}), doing));
  std::vector<measure::Sha256> names(answer.part.size() / measure::Sha256{}.size());
  if (answer.part.size() % measure::Sha256{}.size() != 0 || names.size() > max_blobs)
    return failure(ErrorCode::integrity, doing,
                   fmt::format("the store gives a list of {} bytes", answer.part.size()));
  std::span<const std::byte> rest(answer.part);
  for (measure::Sha256& name : names) {
    std::ranges::copy(rest.first(name.size()), name.begin());
    rest = rest.subspan(name.size());
  }
  return names;
}

} // namespace ashlar::vtpm_state
