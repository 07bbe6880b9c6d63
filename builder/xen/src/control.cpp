// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/xen/control.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "xen_headers.hpp"

namespace ashlar::xen {

namespace {
constexpr std::size_t message_limit = 512; // longest line of a Xen library that is kept
}

/// Receives what the Xen libraries log. `callbacks` is first, so that the C library's pointer to it
/// is a pointer to the whole object.
class Control::Logger {
public:
  xentoollog_logger callbacks{};
  std::string last_error;

  Logger() {
    callbacks.vmessage = take_message;
    callbacks.progress = ignore_progress;
    callbacks.destroy = leave_alone; // Control owns the logger
  }

private:
  static void take_message(xentoollog_logger* logger, xentoollog_level level, int number,
                           const char* context, const char* format, va_list arguments)
      __attribute__((format(printf, 5, 0)));
  static void ignore_progress(xentoollog_logger*, const char*, const char*, int, unsigned long,
                              unsigned long) {}
  static void leave_alone(xentoollog_logger*) {}
};

void Control::Logger::take_message(xentoollog_logger* logger, xentoollog_level level, int number,
                                   const char* context, const char* format, va_list arguments) {
  char text[message_limit] = {};
  // A handler inside a failing call must not change the errno that the caller is about to read.
  const int kept = errno;
  if (vsnprintf(text, sizeof text, format, arguments) > 0) {
    if (level >= XTL_ERROR)
      reinterpret_cast<Logger*>(logger)->last_error = printable(text, message_limit);
    log::debug("{}: {}{}", context == nullptr ? "xen" : context, text,
               number >= 0 ? fmt::format(" ({})", strerrordesc_np(number)) : "");
  }
  errno = kept;
}

Control::Control() : logger_(std::make_unique<Logger>()) {}

Control::~Control() {
  if (handle_ != nullptr)
    xc_interface_close(handle_);
}

Result<std::unique_ptr<Control>> Control::open_with(unsigned flags) {
  std::unique_ptr<Control> control(new Control);
  xentoollog_logger* logger = &control->logger_->callbacks;
  control->handle_ = xc_interface_open(logger, logger, flags);
  if (control->handle_ == nullptr)
    return control->failed("opening the hypervisor's interface",
                           "this must run as root in a privileged Xen domain with the xen-privcmd "
                           "module loaded");
  return control;
}

Result<std::unique_ptr<Control>> Control::open() {
  return open_with(0);
}

Result<std::unique_ptr<Control>> Control::open_without_hypervisor() {
  return open_with(XC_OPENFLAG_DUMMY);
}

std::unexpected<Error> Control::failed(std::string doing, const std::string& remedy) {
  std::string why;
  if (!logger_->last_error.empty())
    why = fmt::format("Xen's library says \"{}\"", logger_->last_error);
  if (!remedy.empty())
    why += (why.empty() ? "" : "; ") + remedy;
  logger_->last_error.clear();
  return errno_failure(std::move(doing), std::move(why));
}

Status Control::check(int outcome, const std::string& doing, const std::string& remedy) {
  if (outcome < 0)
    return failed(doing, remedy);
  // A library may log an error that it then recovers from: it explains no later failure.
  logger_->last_error.clear();
  return {};
}

Status Control::destroy(std::uint32_t domid, const measure::Uuid& uuid) {
  const std::string doing = fmt::format("destroying domain {}", domid);
  xc_domaininfo_t info = {};
  const int found = xc_domain_getinfolist(handle_, domid, 1, &info);
  TRY(check(found, doing + " (looking at it first)"));
  // The list starts at the first domain that exists, which may be a later one.
  const auto handle = std::as_bytes(std::span(info.handle));
  if (found == 0 || info.domain != domid || !std::ranges::equal(handle, uuid))
    return {};
  if (xc_domain_destroy(handle_, domid) < 0 && errno != ESRCH)
    return failed(doing);
  return {};
}

} // namespace ashlar::xen
