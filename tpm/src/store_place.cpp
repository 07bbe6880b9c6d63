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

/// The manager has one thread, and a store that is slow or stalls must not keep it from the
/// builder: in each window there is so much time for it, however many vTPMs want something kept.
class StorePlace final : public SealedPlace {
public:
  StorePlace(StoreConnector connect, StoreClock clock)
      : connect_(std::move(connect)), clock_(std::move(clock)) {}

  [[nodiscard]] std::string where() const override { return "with ashlar-vtpm-store"; }

  [[nodiscard]] Result<std::vector<Bytes>> contents() override {
    TRY(begin());
    return end(fetch_all());
  }

  [[nodiscard]] Status add(std::span<const std::byte> content) override {
    const measure::Sha256 name = TRY(measure::digest(content)).sha256;
    TRY(begin());
    return end(vtpm_state::put_blob(exchange_, name, content, "storing the keys"));
  }

  [[nodiscard]] Status keep(std::span<const std::byte> content) override {
    const measure::Sha256 name = TRY(measure::digest(content)).sha256;
    TRY(begin());
    return end(vtpm_state::keep_blob(exchange_, name, "removing former keys"));
  }

private:
  [[nodiscard]] Result<std::vector<Bytes>> fetch_all() {
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

  [[nodiscard]] Status begin() {
    const auto now = clock_();
    if (now >= window_end_) {
      window_end_ = now + store_window;
      left_ = store_time_in_window;
    }
    if (left_ <= Clock::duration::zero())
      return failure(
          ErrorCode::timeout, doing_ask,
          fmt::format("it took too long, and is asked again within {} s", store_window.count()));
    deadline_ = now + left_;
    return {};
  }

  template <typename T>
  [[nodiscard]] Result<T> end(Result<T> outcome) {
    left_ = deadline_ - clock_();
    if (!outcome && outcome.error().code == ErrorCode::timeout)
      left_ = Clock::duration::zero();
    return outcome;
  }

  [[nodiscard]] Result<Bytes> exchange(std::span<const std::byte> packet) {
    Result<Bytes> answer = exchange_once(packet);
    // The store was started anew. All that it is asked for may be asked twice.
    if (!answer && answer.error().code == ErrorCode::peer_closed)
      answer = exchange_once(packet);
    return answer;
  }

  [[nodiscard]] Result<Bytes> exchange_once(std::span<const std::byte> packet) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - clock_());
    if (left.count() <= 0)
      return failure(ErrorCode::timeout, doing_ask,
                     fmt::format("it took longer than {} s", store_time_in_window.count()));
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
  StoreClock clock_;
  Clock::time_point window_end_;
  Clock::duration left_{};     // of this window
  Clock::time_point deadline_; // of what is being done
  vtpm_state::Exchange exchange_ = [this](std::span<const std::byte> packet) {
    return exchange(packet);
  };
};

} // namespace

std::unique_ptr<SealedPlace> place_in_store(StoreConnector connect, StoreClock clock) {
  return std::make_unique<StorePlace>(std::move(connect), std::move(clock));
}

} // namespace ashlar::tpm
