// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/cli/commands.hpp"

namespace ashlar::cli {

namespace {

constexpr std::byte escape_key{0x1d};            // Ctrl-]
constexpr std::uint32_t first_bytes = 16 * 1024; // past output shown when a console is opened

// A terminal that passes every key on as it is, until this goes out of scope.
class RawTerminal {
public:
  explicit RawTerminal(int descriptor) : descriptor_(descriptor) {
    if (isatty(descriptor) != 1 || tcgetattr(descriptor, &before_) != 0)
      return;
    termios raw = before_;
    cfmakeraw(&raw);
    changed_ = tcsetattr(descriptor, TCSAFLUSH, &raw) == 0;
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() {
    if (changed_)
      tcsetattr(descriptor_, TCSAFLUSH, &before_);
  }
  [[nodiscard]] bool raw() const { return changed_; }

private:
  int descriptor_;
  termios before_{};
  bool changed_ = false;
};

void print_output(const ipc::Response& part) {
  if (part.which_part != ashlar_v1_Response_console_output_tag)
    return;
  // When stdout is gone there is nobody to tell; the next key or the end of the console ends it.
  [[maybe_unused]] const Status written = write_all(
      STDOUT_FILENO, ipc::bytes_of(part.part.console_output.data), "the console's output");
}

// What the user types, on its way to the guest.
class Keyboard {
public:
  Keyboard(Session& session, const ipc::Request& open, bool terminal)
      : session_(session), open_(open), terminal_(terminal) {}

  [[nodiscard]] bool left() const { return left_; }

  // Reads what there is and sends it. Errors: cancelled when the user left.
  [[nodiscard]] Status pass_on(ipc::InputSource& source) {
    ipc::Request input{};
    std::array<std::byte, sizeof input.verb.console_input.data.bytes> keys{};
    const ssize_t count = ::read(source.descriptor, keys.data(), keys.size());
    if (count < 0)
      return errno == EINTR || errno == EAGAIN ? Status{} : errno_failure("reading the keyboard");
    if (count == 0)
      source.descriptor = -1; // the end of a file or pipe: go on showing output
    auto typed = std::span(keys).first(static_cast<std::size_t>(count));
    const auto escape = std::ranges::find(typed, escape_key);
    left_ = terminal_ && escape != typed.end();
    if (left_)
      typed = typed.first(static_cast<std::size_t>(escape - typed.begin()));
    if (!typed.empty())
      TRY(send(input, typed));
    if (left_)
      return failure(ErrorCode::cancelled, "using the console", "left with Ctrl-]");
    return {};
  }

private:
  [[nodiscard]] Status send(ipc::Request& input, std::span<const std::byte> typed) {
    input.id = open_.id;
    input.which_verb = ashlar_v1_Request_console_input_tag;
    if (!ipc::set_bytes(input.verb.console_input.data, typed))
      return failure(ErrorCode::internal, "using the console", "the input does not fit a request");
    return session_.client().post(input);
  }

  Session& session_;
  const ipc::Request& open_;
  bool terminal_;
  bool left_ = false;
};

void announce(const std::string& domain) {
  const std::string text = fmt::format("console of {}: leave with Ctrl-]\r\n", domain);
  [[maybe_unused]] const Status shown = write_all(STDERR_FILENO, as_bytes(text), "a hint");
}

Outcome<std::string> follow(Session& session, ipc::Request& request, const std::string& domain) {
  const RawTerminal terminal(STDIN_FILENO);
  if (terminal.raw())
    announce(domain);
  Keyboard keyboard(session, request, terminal.raw());
  ipc::InputSource source{STDIN_FILENO, {}};
  source.ready = [&] { return keyboard.pass_on(source); };
  const Outcome<ipc::Response> final = session.ask(request, print_output, &source);
  if (keyboard.left())
    return std::string(terminal.raw() ? "\r\n" : "");
  if (!final)
    return std::unexpected(final.error());
  if (std::optional<Problem> problem = problem_of(*final))
    return std::unexpected(std::move(*problem));
  return std::string();
}

} // namespace

Outcome<std::string> console(const Arguments& arguments, Session& session) {
  const Result<ashlar_v1_DomainRef> domain = domain_from_text(arguments.domain);
  if (!domain)
    return std::unexpected(Problem::usage(domain.error()));
  ipc::Request request{};
  request.which_verb = ashlar_v1_Request_console_open_tag;
  request.verb.console_open.has_domain = true;
  request.verb.console_open.domain = *domain;
  request.verb.console_open.follow = !arguments.tail_bytes;
  request.verb.console_open.tail_bytes = arguments.tail_bytes.value_or(first_bytes);
  if (!arguments.tail_bytes)
    return follow(session, request, arguments.domain);
  TRY(session.call(request, print_output));
  return std::string();
}

} // namespace ashlar::cli
