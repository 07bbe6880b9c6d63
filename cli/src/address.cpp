// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/address.hpp"

#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <string_view>

#include "ashlar/base/bytes.hpp"

namespace ashlar::cli {

namespace {

constexpr std::string_view unix_scheme = "unix:";
constexpr std::string_view vchan_scheme = "vchan:";
constexpr std::size_t max_path_bytes = sizeof(sockaddr_un::sun_path) - 1;

bool domid(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

Status check(std::string_view address) {
  const std::string doing = "reading the builder's address \"" + printable(address) + "\"";
  if (address.starts_with(unix_scheme) && address.size() > unix_scheme.size() + max_path_bytes)
    return limit_failure(doing, "the socket's path is too long",
                         std::to_string(max_path_bytes) + " bytes");
  if (address.starts_with(unix_scheme) && address.size() > unix_scheme.size())
    return {};
  if (address.starts_with(vchan_scheme) && domid(address.substr(vchan_scheme.size())))
    return {};
  return failure(ErrorCode::invalid, doing, "it must be unix:PATH or vchan:DOMID");
}

} // namespace

Result<std::string> builder_address(const std::string& given) {
  if (!given.empty()) {
    TRY(check(given));
    return given;
  }
  if (access(default_socket, F_OK) == 0)
    return std::string("unix:") + default_socket;
  if (access("/dev/xen/evtchn", F_OK) == 0)
    return std::string("vchan:0");
  return failure(ErrorCode::not_found, "looking for the builder",
                 std::string("there is neither ") + default_socket +
                     " nor /dev/xen/evtchn; say where it is with --host or ASHLAR_HOST");
}

} // namespace ashlar::cli
