// SPDX-License-Identifier: LGPL-2.1-or-later
// Three banks together against OpenSSL's hashing of one bank alone.
#include <openssl/evp.h>

#include <memory>
#include <thread>
#include <vector>

#include "ashlar/measure/digest.hpp"
#include "bench.hpp"

namespace ashlar::bench {

namespace {

constexpr std::size_t image_bytes = 64u << 20; // a large initrd

void three_banks(benchmark::State& state) {
  const std::vector<std::byte> image(image_bytes, std::byte{0x5a});
  for (auto _ : state)
    if (!succeeded(state, measure::digest(image)))
      return;
  report_bytes(state, image.size());
}

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

/// None where OpenSSL does not offer the algorithm; the benchmark then ends.
Context begin(benchmark::State& state, const EVP_MD* algorithm) {
  Context context(EVP_MD_CTX_new());
  if (!context || EVP_DigestInit_ex2(context.get(), algorithm, nullptr) != 1) {
    state.SkipWithError("OpenSSL does not offer this algorithm");
    return {};
  }
  return context;
}

void one_bank(benchmark::State& state, const EVP_MD* algorithm) {
  const std::vector<std::byte> image(image_bytes, std::byte{0x5a});
  const Context context = begin(state, algorithm);
  if (!context)
    return;
  for (auto _ : state)
    benchmark::DoNotOptimize(EVP_DigestUpdate(context.get(), image.data(), image.size()));
  report_bytes(state, image.size());
}

/// Two threads that have nothing to do with each other hash all of it once each: longer than one
/// alone where what the system calls two cores is not twice one.
void two_alone(benchmark::State& state, const EVP_MD* algorithm) {
  const std::vector<std::byte> image(image_bytes, std::byte{0x5a});
  const Context first = begin(state, algorithm);
  const Context second = begin(state, algorithm);
  if (!first || !second)
    return;
  const auto hash = [&image](EVP_MD_CTX* context) {
    benchmark::DoNotOptimize(EVP_DigestUpdate(context, image.data(), image.size()));
  };
  for (auto _ : state) {
    std::thread other(hash, second.get());
    hash(first.get());
    other.join();
  }
  report_bytes(state, image.size());
}

BENCHMARK(three_banks)->Name("hash_three_banks/ashlar");
BENCHMARK_CAPTURE(one_bank, sha1, EVP_sha1())->Name("hash_three_banks/peer_sha1");
BENCHMARK_CAPTURE(one_bank, sha256, EVP_sha256())->Name("hash_three_banks/peer_sha256");
BENCHMARK_CAPTURE(one_bank, sha384, EVP_sha384())->Name("hash_three_banks/peer_sha384");
BENCHMARK_CAPTURE(two_alone, sha384, EVP_sha384())->Name("hash_two_cores/ashlar");
BENCHMARK_CAPTURE(one_bank, sha384, EVP_sha384())->Name("hash_two_cores/peer");

} // namespace

} // namespace ashlar::bench
