// SPDX-License-Identifier: LGPL-2.1-or-later
// Results as values. Nothing in Ashlar throws: a function that can fail returns Result<T>, and its
// caller either handles the Error or hands it on with TRY. Running out of memory ends the process.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace ashlar {

/// What kind of thing went wrong: enough for a program to act on. People read Error::message().
enum class ErrorCode {
  invalid,     // input breaks its format's rules
  limit,       // input is well-formed but above a named limit
  not_found,   // the thing named does not exist (or is not the asker's to see)
  exists,      // the thing to be made is already there
  busy,        // a quota or slot is taken: try again later
  unsupported, // valid, but not a variant that this program handles
  integrity,   // bytes are not those that were announced or measured
  denied,      // the operating system or the hypervisor refused
  timeout,     // a bounded wait ran out
  peer_closed, // the other end of a connection is gone
  cancelled,   // given up at the requester's wish
  io,          // a system call or hypercall failed
  internal,    // a bug in this program: never the requester's fault
};

/// The stable lower-case word for a code, as shown in logs and sent over RPC.
[[nodiscard]] const char* to_string(ErrorCode code);

/// One failure: what was being done, to what, why it did not work, and (where there was one) errno.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string doing; // "reading the program headers of kernel vmlinuz-6.1"
  std::string why;   // "header 3 ends at byte 9000, past the end of the file (8192 bytes)"
  int system_errno = 0;
  std::string limit = {}; // the limit that was passed, with its unit: "256 MiB"; empty: none was

  /// One line for people: "doing: why (errno text)".
  [[nodiscard]] std::string message() const;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// Shorthand to make the failing value of any Result.
[[nodiscard]] inline std::unexpected<Error> failure(ErrorCode code, std::string doing,
                                                    std::string why, int system_errno = 0) {
  return std::unexpected(Error{code, std::move(doing), std::move(why), system_errno});
}

/// The failing value for a passed limit; `limit` is the limit itself with its unit.
[[nodiscard]] inline std::unexpected<Error> limit_failure(std::string doing, std::string why,
                                                          std::string limit) {
  return std::unexpected(
      Error{ErrorCode::limit, std::move(doing), std::move(why), 0, std::move(limit)});
}

/// The failing value for a system call that just set errno.
[[nodiscard]] std::unexpected<Error> errno_failure(std::string doing, std::string why = {});

} // namespace ashlar

/// TRY(expression) yields the value of a successful Result, or returns its Error from the
/// enclosing function. A GNU statement expression, which the code base needs anyway (gnu++23).
/// Not for a later element between braces or capture of a lambda, nor inside new X(…): GCC cleans
/// up what is there when an exception leaves, but not when this returns. ./dev lint finds these.
#define TRY(...)                                                                                   \
  ({                                                                                               \
    auto&& try_result_ = (__VA_ARGS__);                                                            \
    if (!try_result_) [[unlikely]]                                                                 \
      return std::unexpected(std::move(try_result_).error());                                      \
    ::ashlar::detail::take(std::move(try_result_));                                                \
  })

namespace ashlar::detail {
template <typename T>
T take(std::expected<T, Error>&& result) {
  return std::move(*result);
}
inline void take(Status&&) {}
} // namespace ashlar::detail
