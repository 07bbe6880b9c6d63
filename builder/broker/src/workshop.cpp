// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/workshop.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/broker/child_process.hpp"
#include "ashlar/broker/limits.hpp"
#include "ashlar/inspector/signatures.hpp"

namespace ashlar::broker {

namespace {

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
  static Result<Pipe> create() {
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
      return errno_failure("creating a pipe for a child's report");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
};

/// Waits for one child, then gives how it ended and all that it reported (at most `limit` bytes,
/// which fit into a pipe: the child never waits for the broker to read).
class ChildJob final : public Job {
public:
  struct Ending {
    std::string how; // empty: exit status 0
    bool timed_out = false;
    std::vector<std::byte> report;
  };
  using Ended = std::function<void(Ending)>;

  ChildJob(EventLoop& loop, ChildProcess child, UniqueFd report, std::size_t limit,
           std::chrono::seconds time, Ended ended)
      : loop_(loop), child_(std::move(child)), report_(std::move(report)), limit_(limit),
        ended_(std::move(ended)) {
    end_watch_ = loop_.watch(child_.descriptor(), POLLIN, [this](short) { finish(false); });
    timer_ = loop_.after(time, [this] {
      child_.kill();
      finish(true);
    });
  }
  ChildJob(const ChildJob&) = delete;
  ChildJob& operator=(const ChildJob&) = delete;
  ~ChildJob() override {
    loop_.forget(end_watch_);
    loop_.forget(timer_);
  }

private:
  void finish(bool timed_out) {
    Ending ending{child_.reap(), timed_out, read_report()};
    loop_.forget(end_watch_);
    loop_.forget(timer_);
    const Ended ended = std::move(ended_);
    ended(std::move(ending)); // may destroy this object
  }

  std::vector<std::byte> read_report() const {
    std::vector<std::byte> report(limit_ + 1);
    std::size_t filled = 0;
    while (filled < report.size()) {
      const ssize_t count = ::read(report_.value(), report.data() + filled, report.size() - filled);
      if (count < 0 && errno == EINTR)
        continue;
      if (count <= 0)
        break;
      filled += static_cast<std::size_t>(count);
    }
    report.resize(filled);
    return report;
  }

  EventLoop& loop_;
  ChildProcess child_;
  UniqueFd report_;
  std::size_t limit_;
  Ended ended_;
  EventLoop::Id end_watch_ = 0;
  EventLoop::Id timer_ = 0;
};

/// The kernel as it will be loaded, from what the inspector said. Its report is checked, not
/// believed: it has parsed a guest's bytes.
Result<InspectedKernel> inspected_kernel(const ChildJob::Ending& ending, std::uint64_t image_bytes,
                                         UniqueFd plain) {
  const std::string doing = "inspecting the kernel image";
  if (ending.timed_out)
    return failure(ErrorCode::timeout, doing,
                   fmt::format("the inspector was not done after {} s", inspect_time.count()));
  if (!ending.how.empty())
    return failure(ErrorCode::invalid, doing,
                   fmt::format("the inspector {}: it passed a limit, tried something forbidden, or "
                               "failed; the image is refused",
                               ending.how));
  inspector::Report report = TRY(inspector::decode_report(ending.report));
  if (!report.outcome)
    return std::unexpected(report.outcome.error());
  const std::uint64_t written = TRY(file_size(plain.value(), "the plain kernel"));
  const std::uint64_t plain_bytes = written == 0 ? image_bytes : written;
  if (report.outcome->plain_bytes != plain_bytes)
    return failure(ErrorCode::internal, doing,
                   fmt::format("the inspector reports {} bytes of plain ELF but left {}",
                               report.outcome->plain_bytes, plain_bytes));
  if (written == 0)
    return InspectedKernel{std::move(*report.outcome), UniqueFd()};
  TRY(seal(plain.value(), "the plain kernel"));
  return InspectedKernel{std::move(*report.outcome), std::move(plain)};
}

/// Who has made one signature that came with a request. That it is right is not enough: what nobody
/// vouches for must not look as if it counted.
Result<std::vector<std::string>> brought_names(const Result<signature::DetachedSignature>& brought,
                                               const std::string& label,
                                               const policy::Signers& signers) {
  const std::string what = "the signature that came with " + printable(label);
  if (!brought)
    return failure(brought.error().code, "verifying " + what, brought.error().why);
  TRY(signature::require_trusted(*brought, what));
  return signers.trusting(brought->trust);
}

/// Its report is checked, not believed: it has parsed a guest's bytes.
Result<FoundSigners> found_signers(const ChildJob::Ending& ending,
                                   const std::vector<std::string>& labels, bool look_inside,
                                   const policy::Signers& signers) {
  const std::string doing = "verifying the image's signatures";
  if (ending.timed_out)
    return failure(ErrorCode::timeout, doing,
                   fmt::format("the verifier was not done after {} s", inspect_time.count()));
  if (!ending.how.empty())
    return failure(ErrorCode::invalid, doing,
                   fmt::format("the verifier {}: it passed a limit, tried something forbidden, or "
                               "failed; the image counts as unsigned",
                               ending.how));
  const inspector::SignatureReport report =
      TRY(inspector::decode_signature_report(ending.report, signers.names.size(), labels.size()));
  FoundSigners found;
  for (std::size_t i = 0; i < labels.size(); ++i)
    found.brought.push_back(TRY(brought_names(report.brought[i], labels[i], signers)));
  if (!look_inside)
    return found;
  if (report.inside) {
    found.inside = signers.trusting(report.inside->trust);
    found.authenticode = report.inside->digest;
  } else {
    log::notice("an image counts as unsigned: {}", report.inside.error().message());
  }
  return found;
}

Result<UniqueFd> sealed_question(const SignatureQuery& query, const policy::Signers& signers) {
  inspector::SignatureQuestion question{signers.anchors, query.look_inside != nullptr, {}};
  for (const SignatureQuery::Brought& brought : query.brought)
    question.brought.push_back(brought.signature);
  UniqueFd file = TRY(create_memory_file("ashlar-question"));
  TRY(write_all(file.value(), inspector::encode(question), "the question about signatures"));
  TRY(seal(file.value(), "the question about signatures"));
  return file;
}

Result<std::uint32_t> constructed_domid(const ChildJob::Ending& ending) {
  const std::string doing = "constructing the domain";
  if (ending.timed_out)
    return failure(ErrorCode::timeout, doing,
                   fmt::format("the constructor was not done after {} s", construct_time.count()));
  // A constructor that failed in order exits with a status of its own and says why.
  if (!ending.report.empty())
    return TRY(constructor::decode_outcome(ending.report)).domid;
  return failure(ErrorCode::io, doing,
                 fmt::format("the constructor {} before it said how far it came; see the log",
                             ending.how.empty() ? "ended" : ending.how));
}

class ProcessWorkshop final : public Workshop {
public:
  ProcessWorkshop(EventLoop& loop, std::string libexec, int lock_fd)
      : loop_(loop), libexec_(std::move(libexec)), lock_fd_(lock_fd) {}

  Result<std::unique_ptr<Job>> inspect(const Image& kernel, Inspected done) override {
    UniqueFd plain = TRY(create_memory_file("ashlar-plain-kernel"));
    Pipe report = TRY(Pipe::create());
    ChildProcess child = TRY(ChildProcess::start(
        libexec_ + "/ashlar-inspector",
        {kernel.file.value(), plain.value(), report.write_end.value()}, lock_fd_));
    auto shared_plain = std::make_shared<UniqueFd>(std::move(plain));
    return std::make_unique<ChildJob>(
        loop_, std::move(child), std::move(report.read_end), inspector::max_report_bytes,
        inspect_time,
        [shared_plain, size = kernel.size, done = std::move(done)](const ChildJob::Ending& ending) {
          done(inspected_kernel(ending, size, std::move(*shared_plain)));
        });
  }

  Result<std::unique_ptr<Job>> verify(const SignatureQuery& query, const policy::Signers& signers,
                                      Verified done) override {
    const UniqueFd question = TRY(sealed_question(query, signers));
    // Where nothing is to be looked into, the question stands in for the image: it is not read.
    const int image = query.look_inside ? query.look_inside->file.value() : question.value();
    std::vector<std::string> labels;
    for (const SignatureQuery::Brought& brought : query.brought)
      labels.push_back(brought.label);
    Pipe report = TRY(Pipe::create());
    ChildProcess child =
        TRY(ChildProcess::start(libexec_ + "/ashlar-verifier",
                                {image, question.value(), report.write_end.value()}, lock_fd_));
    return std::make_unique<ChildJob>(loop_, std::move(child), std::move(report.read_end),
                                      inspector::max_signature_report_bytes, inspect_time,
                                      [labels, look_inside = query.look_inside != nullptr, signers,
                                       done = std::move(done)](const ChildJob::Ending& ending) {
                                        done(found_signers(ending, labels, look_inside, signers));
                                      });
  }

  Result<std::unique_ptr<Job>> construct(const constructor::Plan& plan, int kernel,
                                         const std::vector<int>& initrds,
                                         Constructed done) override {
    const UniqueFd plan_file = TRY(create_memory_file("ashlar-plan"));
    TRY(write_all(plan_file.value(), constructor::encode(plan), "the plan"));
    TRY(seal(plan_file.value(), "the plan"));
    Pipe outcome = TRY(Pipe::create());
    std::vector<int> descriptors = {plan_file.value(), outcome.write_end.value(), kernel};
    descriptors.insert(descriptors.end(), initrds.begin(), initrds.end());
    ChildProcess child =
        TRY(ChildProcess::start(libexec_ + "/ashlar-constructor", descriptors, lock_fd_));
    return std::make_unique<ChildJob>(loop_, std::move(child), std::move(outcome.read_end),
                                      constructor::max_outcome_bytes, construct_time,
                                      [done = std::move(done)](const ChildJob::Ending& ending) {
                                        done(constructed_domid(ending));
                                      });
  }

private:
  EventLoop& loop_;
  std::string libexec_;
  int lock_fd_;
};

} // namespace

std::unique_ptr<Workshop> make_workshop(EventLoop& loop, std::string libexec, int lock_fd) {
  return std::make_unique<ProcessWorkshop>(loop, std::move(libexec), lock_fd);
}

} // namespace ashlar::broker
