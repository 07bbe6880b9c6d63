// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

extern "C" {
#include <libxlutil.h>
}

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace ashlar::cli {

/// Where libxlutil writes its complaints.
class Complaints {
public:
  Complaints() : stream_(open_memstream(&text_, &size_)) {}
  Complaints(const Complaints&) = delete;
  Complaints& operator=(const Complaints&) = delete;
  ~Complaints() {
    if (stream_)
      std::fclose(stream_);
    std::free(text_);
  }
  /// Null: there is no memory for it.
  [[nodiscard]] FILE* stream() { return stream_; }
  [[nodiscard]] std::string first_line() {
    std::fflush(stream_);
    const std::string_view all(text_, size_);
    return std::string(all.substr(0, all.find('\n')));
  }

private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  FILE* stream_;
};

struct DestroyConfig {
  void operator()(XLU_Config* config) const { xlu_cfg_destroy(config); }
};

} // namespace ashlar::cli
