// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <utility>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/tpm/durable_file.hpp"
#include "ashlar/tpm/limits.hpp"
#include "ashlar/tpm/sealed_place.hpp"

namespace ashlar::tpm {

namespace {

class DirectoryPlace final : public SealedPlace {
public:
  explicit DirectoryPlace(std::string path) : path_(std::move(path)) {}

  [[nodiscard]] std::string where() const override { return path_; }

  [[nodiscard]] Result<std::vector<std::vector<std::byte>>> contents() override {
    std::vector<std::vector<std::byte>> found;
    for (const std::string& path : {path_, staged_path(path_)}) {
      const Result<std::string> content = read_file(path, max_key_file_bytes);
      if (content) {
        const auto bytes = as_bytes(*content);
        found.emplace_back(bytes.begin(), bytes.end());
      } else if (content.error().code != ErrorCode::not_found) {
        return std::unexpected(content.error());
      }
    }
    return found;
  }

  [[nodiscard]] Status add(std::span<const std::byte> content) override {
    return stage(path_, content);
  }

  [[nodiscard]] Status keep(std::span<const std::byte> content) override {
    const Result<std::string> present = read_file(path_, max_key_file_bytes);
    if (present && std::ranges::equal(as_bytes(*present), content))
      return {};
    return put_in_place(path_);
  }

private:
  std::string path_;
};

} // namespace

std::unique_ptr<SealedPlace> place_in_directory(const std::string& directory) {
  return std::make_unique<DirectoryPlace>(directory + "/vtpm-keys");
}

} // namespace ashlar::tpm
