// SPDX-License-Identifier: LGPL-2.1-or-later
// The input is a kernel image. What must hold besides "no crash": an accepted image is described
// within the limits, and its report survives the pipe.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "ashlar/inspector/inspect.hpp"
#include "ashlar/inspector/limits.hpp"
#include "ashlar/inspector/report.hpp"

using namespace ashlar;
using namespace ashlar::inspector;

namespace {

/// Small, so that the fuzzer spends its time on parsing and not on zeroing memory.
class FuzzSink : public PlainSink {
public:
  [[nodiscard]] Result<std::span<std::byte>> reserve(std::uint64_t bytes) override {
    if (bytes > most)
      return failure(ErrorCode::limit, "reserving memory in the fuzzer", "too much");
    plain_.resize(bytes);
    return std::span(plain_);
  }

private:
  static constexpr std::uint64_t most = 256u << 10;
  std::vector<std::byte> plain_;
};

void require(bool holds) {
  if (!holds)
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  FuzzSink sink;
  const auto outcome = inspect(input, sink);
  if (outcome)
    require((outcome->pv || outcome->pvh) && outcome->load_bytes <= max_load_bytes);
  const auto report = decode_report(encode({outcome}));
  require(report.has_value() && report->outcome.has_value() == outcome.has_value());
  // The other parser of hostile bytes: the broker reads reports from an inspector it does not
  // trust.
  if (const auto hostile = decode_report(input); hostile && hostile->outcome)
    require(hostile->outcome->plain_bytes <= max_plain_bytes);
  return 0;
}
