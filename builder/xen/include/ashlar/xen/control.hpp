// SPDX-License-Identifier: LGPL-2.1-or-later
// The owner of a libxenctrl handle, and where libxenctrl's and libxenguest's own messages go.
#pragma once

#include <memory>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/record.hpp"

struct xc_interface_core; // xenctrl.h's xc_interface, without its macros

namespace ashlar::xen {

/// An open connection to the hypervisor. The Xen libraries explain a failure on a logger, not in
/// what they return: this keeps the last line that they logged as an error, for the Error of the
/// call.
class Control {
public:
  /// Opens the hypervisor's interface. Errors: denied, not_found (this is not a Xen domain, or one
  /// without privilege), io.
  [[nodiscard]] static Result<std::unique_ptr<Control>> open();
  /// A handle that reaches no hypervisor: every hypercall on it fails. For tests of what comes
  /// before.
  [[nodiscard]] static Result<std::unique_ptr<Control>> open_without_hypervisor();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;
  ~Control();

  [[nodiscard]] xc_interface_core* handle() const { return handle_; }

  /// The Error for a Xen library call that just failed: errno and the library's last message go
  /// with `doing`; `remedy`, when there is one, says what to do.
  [[nodiscard]] std::unexpected<Error> failed(std::string doing, const std::string& remedy = {});
  /// Success for 0 (or any value that is not negative), otherwise failed().
  [[nodiscard]] Status check(int outcome, const std::string& doing, const std::string& remedy = {});

  /// Destroys the domain if it still has this UUID. One that is gone, or whose domid belongs to
  /// another domain by now, is success.
  [[nodiscard]] Status destroy(std::uint32_t domid, const measure::Uuid& uuid);

private:
  class Logger;
  Control();
  [[nodiscard]] static Result<std::unique_ptr<Control>> open_with(unsigned flags);
  std::unique_ptr<Logger> logger_; // the handle uses it until it is closed
  xc_interface_core* handle_ = nullptr;
};

} // namespace ashlar::xen
