// SPDX-License-Identifier: LGPL-2.1-or-later
// Taking in an image (hashing it in all banks and writing it to a memory file) against memcpy.
#include <cstring>
#include <vector>

#include "ashlar/broker/upload.hpp"
#include "bench.hpp"

namespace ashlar::bench {

namespace {

constexpr std::size_t image_bytes = 64u << 20; // a large initrd

Result<broker::ImageIntake::Received> take_in(std::span<const std::byte> chunk) {
  broker::ImageIntake intake = TRY(broker::ImageIntake::begin("the image", image_bytes));
  for (std::size_t at = 0; at < image_bytes; at += chunk.size())
    TRY(intake.take(chunk));
  return intake.finish();
}

void image_intake(benchmark::State& state) {
  const std::vector<std::byte> chunk(chunk_bytes, std::byte{0x5a});
  for (auto _ : state)
    if (!succeeded(state, take_in(chunk)))
      return;
  report_bytes(state, image_bytes);
}

// Into memory that is there already: no page is allocated, which the memory file cannot avoid.
void copy(benchmark::State& state) {
  const std::vector<std::byte> chunk(chunk_bytes, std::byte{0x5a});
  std::vector<std::byte> image(image_bytes);
  for (auto _ : state) {
    for (std::size_t at = 0; at < image_bytes; at += chunk.size())
      std::memcpy(image.data() + at, chunk.data(), chunk.size());
    benchmark::ClobberMemory();
  }
  report_bytes(state, image_bytes);
}

BENCHMARK(image_intake)->Name("image_intake/ashlar")->Unit(benchmark::kMillisecond);
BENCHMARK(copy)->Name("image_intake/peer")->Unit(benchmark::kMillisecond);

} // namespace

} // namespace ashlar::bench
