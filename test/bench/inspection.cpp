// SPDX-License-Identifier: LGPL-2.1-or-later
// Inspecting a kernel (unpacking it and checking the ELF in it) against its decompressor alone.
#include <cstdlib>
#include <memory>
#include <utility>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/inspector/inspect.hpp"
#include "ashlar/inspector/limits.hpp"
#include "bench.hpp"
#include "bzimage.hpp"
#include "payload.hpp"
#include "raw_decoders.hpp"

namespace ashlar::bench {

namespace {

/// Fresh zeroed pages for every kernel, for both sides: as the inspector gets them from a memory
/// file.
class FreshMemory : public inspector::PlainSink {
public:
  [[nodiscard]] Result<std::span<std::byte>> reserve(std::uint64_t bytes) override {
    memory_.reset(static_cast<std::byte*>(std::calloc(bytes, 1)));
    if (!memory_)
      return errno_failure("reserving memory for the plain kernel");
    return std::span(memory_.get(), bytes);
  }

private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
};

using Image = std::shared_ptr<const std::string>;

void inspect_image(benchmark::State& state, const Image& image) {
  std::uint64_t plain_bytes = 0;
  for (auto _ : state) {
    FreshMemory memory;
    const auto description = inspector::inspect(as_bytes(*image), memory);
    if (!succeeded(state, description))
      return;
    plain_bytes = description->plain_bytes;
  }
  report_bytes(state, plain_bytes);
}

void decode_image(benchmark::State& state, const Image& image, const inspector::Payload& payload) {
  for (auto _ : state) {
    FreshMemory memory;
    const auto plain = memory.reserve(payload.plain_bytes);
    if (!succeeded(state, plain))
      return;
    if (!decode_raw(payload.compression, payload.stream, *plain)) {
      state.SkipWithError("the library alone does not unpack this payload");
      return;
    }
  }
  benchmark::DoNotOptimize(image->data()); // the payload is a part of it
  report_bytes(state, payload.plain_bytes);
}

} // namespace

Status register_inspection(const std::string& name, const std::string& path) {
  const auto image =
      std::make_shared<const std::string>(TRY(read_file(path, inspector::max_image_bytes)));
  benchmark::RegisterBenchmark(("inspect_" + name + "/ashlar").c_str(), inspect_image, image)
      ->Unit(benchmark::kMillisecond);
  if (!inspector::has_bzimage_signature(as_bytes(*image)))
    return {};
  const inspector::FileRange range = TRY(inspector::find_bzimage_payload(as_bytes(*image)));
  const inspector::Payload payload = TRY(inspector::split_payload(range));
  benchmark::RegisterBenchmark(("inspect_" + name + "/peer").c_str(), decode_image, image, payload)
      ->Unit(benchmark::kMillisecond);
  return {};
}

} // namespace ashlar::bench
