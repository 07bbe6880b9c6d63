// SPDX-License-Identifier: LGPL-2.1-or-later
// A real broker between fakes: its own run directory, policy and Unix socket, driven turn by turn.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/broker/broker.hpp"
#include "ashlar/ipc/frame.hpp"
#include "ashlar/ipc/message.hpp"
#include "fakes.hpp"

namespace ashlar::broker::test {

/// A directory for one test, removed with all in it.
class TemporaryDirectory {
public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  std::string path_;
};

void write_file(const std::string& path, const std::string& text);

/// For as long as it lives, no file may grow more than `more` bytes past the present size of the
/// file at `path`: writes fail as on a full disk.
class WriteLimit {
public:
  WriteLimit(const std::string& path, std::uint64_t more);
  WriteLimit(const WriteLimit&) = delete;
  WriteLimit& operator=(const WriteLimit&) = delete;
  ~WriteLimit();
};

/// What is logged for as long as it lives.
class CapturedLog {
public:
  CapturedLog();
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;
  ~CapturedLog();
  /// Lines with this in them.
  [[nodiscard]] std::size_t count(const std::string& part) const;

private:
  UniqueFd file_;
  UniqueFd before_;
};

/// One requester ("tester": the uid of this process) who may do everything with any images.
[[nodiscard]] std::string open_policy(const std::string& quotas = {});
/// Nobody may do anything: the tester is known, and has no rule.
[[nodiscard]] std::string closed_policy();

class Scene {
public:
  /// Without `inspect_ahead`, so that inspections are those of builds.
  explicit Scene(const std::string& policy = open_policy(), std::uint64_t store_bytes = 64u << 20,
                 bool inspect_ahead = false);

  void start();
  /// The builder's process ends (as if killed: nothing is tidied up by the requester) and another
  /// one begins with the same run directory and the same machine.
  void restart();
  /// Turns the loop until nothing more happens for a few rounds.
  void settle();
  /// Turns the loop until `done` holds; false when it does not within very many turns.
  template <typename Condition>
  [[nodiscard]] bool until(Condition done) {
    for (int i = 0; i < 2000; ++i) {
      if (done())
        return true;
      turn();
    }
    return false;
  }
  void turn();
  void set_policy(const std::string& text);
  /// What a builder that starts now would read.
  [[nodiscard]] JournalState journal() const;
  [[nodiscard]] std::string journal_path() const { return settings.run_directory + "/journal"; }

  TemporaryDirectory directory;
  World world;
  Settings settings;
  EventLoop loop;
  std::unique_ptr<Broker> broker;
};

/// Images as the requester has them.
[[nodiscard]] ashlar_v1_ImageRef reference(const std::string& bytes, const std::string& label);
[[nodiscard]] ipc::Request create_request(const std::string& name, const std::string& kernel,
                                          const std::vector<std::string>& initrds = {});
[[nodiscard]] ipc::Request by_domid(pb_size_t verb, std::uint32_t domid);

/// A scripted requester. Turns the scene's loop while it waits.
class Client {
public:
  /// Over the scene's Unix socket.
  explicit Client(Scene& scene);
  /// Over a connection of its own; `turn` lets the broker work.
  Client(std::unique_ptr<ipc::Transport> transport, std::function<void()> turn);

  void hello();
  /// Sends with a new id (unless the request has one) and gives that id.
  std::uint32_t send(ipc::Request request);
  void send_data(const std::string& bytes);
  /// Flushes what waits and takes in what has come.
  void pump();
  /// The final response to `id`; fails the test when none comes.
  ipc::Response wait_final(std::uint32_t id);
  ipc::Response call(const ipc::Request& request) { return wait_final(send(request)); }
  /// Uploads an image in chunks.
  ipc::Response upload(const std::string& bytes, const std::string& label = "image");
  /// Uploads what is missing, builds, and gives the domid.
  std::uint32_t build(const std::string& name, const std::string& kernel,
                      const std::vector<std::string>& initrds = {});
  /// All partial responses of one kind to `id`.
  [[nodiscard]] std::vector<ipc::Response> parts(std::uint32_t id, pb_size_t which) const;
  [[nodiscard]] bool has_final(std::uint32_t id) const;
  /// Turns until the broker has closed the connection; false when it does not.
  [[nodiscard]] bool ends();

  std::vector<ipc::Response> answers;
  bool closed = false;

private:
  std::unique_ptr<ipc::Transport> transport_;
  std::unique_ptr<ipc::FrameStream> frames_;
  std::function<void()> turn_;
  std::uint32_t next_id_ = 1;
};

[[nodiscard]] bool done(const ipc::Response& response);
/// The code of a failure, "refusal", "done" or "missing".
[[nodiscard]] std::string outcome(const ipc::Response& response);

} // namespace ashlar::broker::test
