// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/inspector_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/inspector/limits.hpp"

namespace ashlar::cli {

namespace {

// Above every descriptor number of the inspector's contract, so that copies do not overwrite each
// other while they are put in place.
constexpr int staging_fd = 64;
constexpr int first_child_fd = 3;
const std::string doing = "inspecting the image";

/// What posix_spawn does to a child's descriptors.
struct FileActions {
  posix_spawn_file_actions_t actions{};
  FileActions() { posix_spawn_file_actions_init(&actions); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  ~FileActions() { posix_spawn_file_actions_destroy(&actions); }
};

/// A child that is killed and waited for at the latest when its owner goes out of scope.
class Child {
public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ < 0)
      return;
    ::kill(pid_, SIGKILL);
    static_cast<void>(wait());
  }

  /// The status as waitpid(2) gives it.
  [[nodiscard]] int wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

private:
  pid_t pid_;
};

/// Starts the program with descriptors 3, 4 and 5 as given, an empty environment and no input.
Result<Child> start(const std::string& program, const std::vector<int>& descriptors) {
  FileActions files;
  posix_spawn_file_actions_addopen(&files.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  std::vector<UniqueFd> staged;
  for (const int fd : descriptors) {
    UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, staging_fd));
    if (!copy)
      return errno_failure("handing a descriptor to " + program);
    posix_spawn_file_actions_adddup2(&files.actions, copy.value(),
                                     first_child_fd + static_cast<int>(staged.size()));
    staged.push_back(std::move(copy));
  }
  std::string name = program;
  char* const arguments[] = {name.data(), nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = -1;
  if (const int failed =
          posix_spawn(&pid, program.c_str(), &files.actions, nullptr, arguments, environment);
      failed != 0)
    return failure(ErrorCode::io, "starting " + program, "", failed);
  return Child(pid);
}

/// All that the child writes until it closes its end, at most one byte more than a report may have.
Result<std::vector<std::byte>> read_report(int fd, std::size_t limit) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(inspector::max_wall_seconds);
  std::vector<std::byte> report(limit + 1);
  std::size_t filled = 0;
  while (filled < report.size()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = left.count() <= 0 ? 0 : poll(&watched, 1, static_cast<int>(left.count()));
    if (ready == 0)
      return failure(
          ErrorCode::timeout, doing,
          fmt::format("the inspector was not done after {} s", inspector::max_wall_seconds));
    const ssize_t count =
        ready < 0 ? -1 : ::read(fd, report.data() + filled, report.size() - filled);
    if (count < 0 && errno != EINTR)
      return errno_failure("reading the inspector's report");
    if (count == 0)
      break;
    filled += count > 0 ? static_cast<std::size_t>(count) : 0;
  }
  report.resize(filled);
  return report;
}

Status check_ending(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return {};
  const std::string how = WIFSIGNALED(status)
                              ? fmt::format("was killed by signal {}", WTERMSIG(status))
                              : fmt::format("exited with status {}", WEXITSTATUS(status));
  return failure(ErrorCode::invalid, doing,
                 fmt::format("the inspector {}: it passed a limit, tried something forbidden, or "
                             "failed; a builder refuses this image",
                             how));
}

/// Runs a sandboxed program over an image and one more file, and gives what it reports.
Result<std::vector<std::byte>> report_of(const std::string& program, int image, int other,
                                         std::size_t limit) {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0)
    return errno_failure("creating a pipe for the report of " + program);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  Child child = TRY(start(program, {image, other, write_end.value()}));
  write_end.reset(); // the child's copy is then the last one, and its end the end of the report
  std::vector<std::byte> bytes = TRY(read_report(read_end.value(), limit));
  TRY(check_ending(child.wait()));
  return bytes;
}

Result<std::string> find_program(const char* program_name) {
  namespace fs = std::filesystem;
  std::vector<fs::path> places;
  std::error_code ignored;
  if (const char* set = std::getenv("ASHLAR_LIBEXEC"); set != nullptr && *set != '\0') {
    places.emplace_back(set);
  } else {
    const fs::path self = fs::read_symlink("/proc/self/exe", ignored);
    places.push_back(self.parent_path().parent_path() / "builder" / "inspector");
    places.emplace_back(ASHLAR_LIBEXEC_DIRECTORY);
  }
  for (const fs::path& place : places)
    if (access((place / program_name).c_str(), X_OK) == 0)
      return (place / program_name).string();
  return failure(ErrorCode::not_found, fmt::format("looking for {}", program_name),
                 "it is not in " + places.back().string() +
                     "; set ASHLAR_LIBEXEC to its directory");
}

} // namespace

Result<std::string> find_inspector() {
  return find_program("ashlar-inspector");
}

Result<std::string> find_verifier() {
  return find_program("ashlar-verifier");
}

Result<inspector::Description> run_inspector(const std::string& program, const ImageFile& image) {
  const UniqueFd plain = TRY(create_memory_file("ashlar-plain-kernel"));
  const std::vector<std::byte> bytes =
      TRY(report_of(program, image.fd.value(), plain.value(), inspector::max_report_bytes));
  const inspector::Report report = TRY(inspector::decode_report(bytes));
  return report.outcome;
}

Result<inspector::SignatureReport> run_verifier(const std::string& program, const ImageFile* image,
                                                const inspector::SignatureQuestion& question) {
  const UniqueFd asked = TRY(create_memory_file("ashlar-question"));
  TRY(write_all(asked.value(), inspector::encode(question), "the question about signatures"));
  TRY(seal(asked.value(), "the question about signatures"));
  const std::vector<std::byte> bytes =
      TRY(report_of(program, image ? image->fd.value() : asked.value(), asked.value(),
                    inspector::max_signature_report_bytes));
  return inspector::decode_signature_report(bytes, question.anchors.certificates.size(),
                                            question.brought.size());
}

} // namespace ashlar::cli
