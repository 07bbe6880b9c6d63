// SPDX-License-Identifier: LGPL-2.1-or-later
// The one program of a service domain (TPM Manager, vTPM), and what follows its end.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::init {

enum class ServiceEnd {
  power_off, // the domain has no other use
  restart,   // within the limits of RestartLimit
};

struct Service {
  std::vector<std::string> arguments; // the first is the program's absolute path
  ServiceEnd at_end = ServiceEnd::power_off;
};

/// Reads the file of a service domain: the first line has the program and its arguments, with
/// single spaces between (none can hold one), the second "restart" or "power-off". Errors: invalid.
[[nodiscard]] Result<Service> parse_service(std::string_view text, const std::string& path);

} // namespace ashlar::init
