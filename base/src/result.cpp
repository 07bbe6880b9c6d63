// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/base/result.hpp"

#include <cerrno>
#include <cstring>

namespace ashlar {

const char* to_string(ErrorCode code) {
  switch (code) {
  case ErrorCode::invalid:
    return "invalid";
  case ErrorCode::limit:
    return "limit";
  case ErrorCode::not_found:
    return "not_found";
  case ErrorCode::exists:
    return "exists";
  case ErrorCode::busy:
    return "busy";
  case ErrorCode::unsupported:
    return "unsupported";
  case ErrorCode::integrity:
    return "integrity";
  case ErrorCode::denied:
    return "denied";
  case ErrorCode::timeout:
    return "timeout";
  case ErrorCode::peer_closed:
    return "peer_closed";
  case ErrorCode::cancelled:
    return "cancelled";
  case ErrorCode::io:
    return "io";
  case ErrorCode::internal:
    return "internal";
  }
  return "internal";
}

std::string Error::message() const {
  std::string text = doing;
  if (!why.empty())
    text += (text.empty() ? "" : ": ") + why;
  if (system_errno != 0)
    text += (why.empty() ? ": " : " (") +
            std::string(strerrordesc_np(system_errno) ? strerrordesc_np(system_errno)
                                                      : "unknown errno") +
            (why.empty() ? "" : ")");
  if (!limit.empty())
    text += " (limit: " + limit + ")";
  return text;
}

std::unexpected<Error> errno_failure(std::string doing, std::string why) {
  const int number = errno;
  ErrorCode code = ErrorCode::io;
  if (number == ENOENT)
    code = ErrorCode::not_found;
  else if (number == EACCES || number == EPERM)
    code = ErrorCode::denied;
  else if (number == EPIPE || number == ECONNRESET)
    code = ErrorCode::peer_closed;
  return failure(code, std::move(doing), std::move(why), number);
}

} // namespace ashlar
