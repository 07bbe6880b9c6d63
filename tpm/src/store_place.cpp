// SPDX-License-Identifier: LGPL-2.1-or-later
#include <utility>

#include <fmt/format.h>

#include "ashlar/tpm/limits.hpp"
#include "ashlar/tpm/sealed_place.hpp"
#include "ashlar/vtpm_state/client.hpp"

namespace ashlar::tpm {

namespace {

using Clock = std::chrono::steady_clock;
using Bytes = std::vector<std::byte>;

static_assert(vtpm_state::max_blob_bytes >= max_key_file_bytes);

constexpr const char* doing_ask = "asking the store of vTPM states (ashlar-vtpm-store)";

/// The manager has one thread, and a store that stalls must not keep it from the builder: each
/// operation as a whole has a time limit, and after one that did not end within it there is a
/// pause.
class StorePlace final : public SealedPlace {
public:
  explicit StorePlace(StoreConnector connect) : connect_(std::move(connect)) {}

  [[nodiscard]] std::string where() const override { return "with ashlar-vtpm-store"; }

  [[nodiscard]] Result<std::vector<Bytes>> contents() override {
    TRY(begin());
    std::vector<Bytes> found;
    const auto names = TRY(vtpm_state::list_blobs(exchange_, "listing the keys"));
    for (const measure::Sha256& name : names) {
      Result<Bytes> blob = vtpm_state::get_blob(exchange_, name, "fetching the keys");
      if (blob)
        found.push_back(*std::move(blob));
      else if (blob.error().code != ErrorCode::integrity)
        return std::unexpected(blob.error());
    }
    return found;
  }

  [[nodiscard]] Status add(std::span<const std::byte> content) override {
    TRY(begin());
    const measure::Sha256 name = TRY(measure::digest(content)).sha256;
    return vtpm_state::put_blob(exchange_, name, content, "storing the keys");
  }

  [[nodiscard]] Status keep(std::span<const std::byte> content) override {
    TRY(begin());
    const measure::Sha256 name = TRY(measure::digest(content)).sha256;
    return vtpm_state::keep_blob(exchange_, name, "removing former keys");
  }

private:
  [[nodiscard]] Status begin() {
    const auto now = Clock::now();
    if (now < next_try_)
      return failure(ErrorCode::timeout, doing_ask,
                     fmt::format("it did not answer, and is asked again {} s after that",
                                 store_retry_pause.count()));
    deadline_ = now + store_operation_time;
    return {};
  }

  [[nodiscard]] Result<Bytes> exchange(std::span<const std::byte> packet) {
    Result<Bytes> answer = exchange_once(packet);
    // The store was started anew. All that it is asked for may be asked twice.
    if (!answer && answer.error().code == ErrorCode::peer_closed)
      answer = exchange_once(packet);
    if (!answer && answer.error().code == ErrorCode::timeout)
      next_try_ = Clock::now() + store_retry_pause;
    return answer;
  }

  [[nodiscard]] Result<Bytes> exchange_once(std::span<const std::byte> packet) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (left.count() <= 0)
      return failure(ErrorCode::timeout, doing_ask,
                     fmt::format("it took longer than {} s", store_operation_time.count()));
    if (!line_) {
      Result<std::unique_ptr<ipc::TpmifFrontend>> line = connect_(left);
      if (!line && line.error().code == ErrorCode::not_found)
        return failure(ErrorCode::not_found, doing_ask,
                       "there is no key store yet: no domain with vtpm_state_store = true runs");
      if (!line)
        return std::unexpected(line.error());
      line_ = *std::move(line);
    }
    Result<Bytes> answer = line_->exchange(packet, left);
    if (!answer)
      line_.reset();
    return answer;
  }

  StoreConnector connect_;
  std::unique_ptr<ipc::TpmifFrontend> line_;
  Clock::time_point deadline_;
  Clock::time_point next_try_;
  vtpm_state::Exchange exchange_ = [this](std::span<const std::byte> packet) {
    return exchange(packet);
  };
};

} // namespace

std::unique_ptr<SealedPlace> place_in_store(StoreConnector connect) {
  return std::make_unique<StorePlace>(std::move(connect));
}

} // namespace ashlar::tpm
