// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/service.hpp"

#include <algorithm>

#include "ashlar/base/bytes.hpp"

namespace ashlar::init {

namespace {

std::string_view take_until(std::string_view& text, char end) {
  const std::string_view taken = text.substr(0, text.find(end));
  text.remove_prefix(std::min(taken.size() + 1, text.size()));
  return taken;
}

} // namespace

Result<Service> parse_service(std::string_view text, const std::string& path) {
  const std::string doing = "reading " + path;
  Service service;
  std::string_view command = take_until(text, '\n');
  while (!command.empty())
    service.arguments.emplace_back(take_until(command, ' '));
  if (service.arguments.empty() || !service.arguments.front().starts_with('/'))
    return failure(ErrorCode::invalid, doing,
                   "the first line must begin with the absolute path of a program");
  const std::string_view end = take_until(text, '\n');
  if (end != "restart" && end != "power-off")
    return failure(ErrorCode::invalid, doing,
                   "the second line must be restart or power-off, not \"" + printable(end) + "\"");
  service.at_end = end == "restart" ? ServiceEnd::restart : ServiceEnd::power_off;
  if (!text.empty())
    return failure(ErrorCode::invalid, doing, "there are more than two lines");
  return service;
}

} // namespace ashlar::init
