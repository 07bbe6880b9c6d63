// SPDX-License-Identifier: LGPL-2.1-or-later
#include "scene.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/ipc/unix_socket.hpp"

namespace ashlar::broker::test {

namespace {

bool is_final(const ipc::Response& response) {
  return response.which_part == ashlar_v1_Response_done_tag ||
         response.which_part == ashlar_v1_Response_failure_tag ||
         response.which_part == ashlar_v1_Response_refusal_tag ||
         response.which_part == ashlar_v1_Response_missing_images_tag;
}

constexpr std::size_t chunk_bytes = 64 * 1024;

} // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = "/tmp/ashlar-broker-XXXXXX";
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}
TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

WriteLimit::WriteLimit(const std::string& path, std::uint64_t more) {
  // Without this the kernel sends a signal as well.
  signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{std::filesystem::file_size(path) + more, RLIM_INFINITY};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}
WriteLimit::~WriteLimit() {
  const rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_FSIZE, &limit);
}

CapturedLog::CapturedLog() : before_(dup(STDERR_FILENO)) {
  Result<UniqueFd> file = create_memory_file("log");
  REQUIRE(file);
  file_ = std::move(*file);
  REQUIRE(dup2(file_.value(), STDERR_FILENO) == STDERR_FILENO);
}
CapturedLog::~CapturedLog() {
  dup2(before_.value(), STDERR_FILENO);
}
std::size_t CapturedLog::count(const std::string& part) const {
  std::istringstream lines(content(file_.value()));
  std::size_t found = 0;
  for (std::string line; std::getline(lines, line);)
    found += line.contains(part) ? 1 : 0;
  return found;
}

std::string closed_policy() {
  return fmt::format("version = 1\n[[requester]]\nname = \"tester\"\nuid = {}\n"
                     "[[requester]]\nname = \"boot\"\nboot = true\n"
                     "[[rule]]\nname = \"look\"\neffect = \"allow\"\n"
                     "requesters = [\"tester\", \"boot\"]\nverbs = [\"list\", \"policy-reload\"]\n",
                     geteuid());
}

std::string open_policy(const std::string& quotas) {
  return fmt::format("version = 1\n[[requester]]\nname = \"tester\"\nuid = {}\n{}\n"
                     "[[requester]]\nname = \"boot\"\nboot = true\n"
                     "[[rule]]\nname = \"all\"\neffect = \"allow\"\n"
                     "requesters = [\"tester\", \"boot\"]\nverbs = \"any\"\n"
                     "  [rule.guest]\n  kernels = \"any\"\n  initrds = \"any\"\n"
                     "  command_lines = \"any\"\n",
                     geteuid(), quotas);
}

Scene::Scene(const std::string& policy, std::uint64_t store_bytes, bool inspect_ahead) {
  for (const char* part : {"run", "policy", "console"})
    std::filesystem::create_directory(directory.path() + "/" + part);
  settings.policy_directory = directory.path() + "/policy";
  settings.run_directory = directory.path() + "/run";
  settings.socket = directory.path() + "/run/socket";
  settings.console_log_directory = directory.path() + "/console";
  settings.store_bytes = store_bytes;
  settings.inspect_ahead = inspect_ahead;
  set_policy(policy);
  start();
}

void Scene::start() {
  Broker::Outside outside{fake_hypervisor(world), fake_store(world), fake_workshop(world, loop),
                          fake_tpm_manager(world)};
  Result<std::unique_ptr<Broker>> started =
      Broker::start(loop, settings, std::move(outside), FdStore::from_environment());
  REQUIRE_MESSAGE(started.has_value(), started.error().message());
  broker = std::move(*started);
}

void Scene::restart() {
  // A killed process tidies nothing up: what its destructors would do must not reach the journal.
  const std::string kept = journal_path() + ".kept";
  std::filesystem::copy_file(journal_path(), kept,
                             std::filesystem::copy_options::overwrite_existing);
  const auto domains = world.domains;
  broker.reset();
  world.domains = domains;
  world.held.clear();
  world.events.clear();
  std::filesystem::rename(kept, journal_path());
  start();
}

void Scene::turn() {
  REQUIRE(loop.turn(std::chrono::milliseconds(1)));
}

void Scene::settle() {
  for (int i = 0; i < 12; ++i)
    turn();
}

void Scene::set_policy(const std::string& text) {
  write_file(settings.policy_directory + "/10-test.toml", text);
}

JournalState Scene::journal() const {
  const std::string copy = directory.path() + "/journal-copy";
  std::filesystem::copy_file(journal_path(), copy,
                             std::filesystem::copy_options::overwrite_existing);
  Result<Journal::Opened> opened = Journal::open(copy);
  REQUIRE(opened);
  CHECK_FALSE(opened->cut);
  return opened->state;
}

ashlar_v1_ImageRef reference(const std::string& bytes, const std::string& label) {
  ashlar_v1_ImageRef image = ashlar_v1_ImageRef_init_zero;
  const auto digests = measure::digest(as_bytes(bytes));
  REQUIRE(digests);
  REQUIRE(ipc::set_bytes(image.sha256, digests->sha256));
  image.size = bytes.size();
  ipc::set_text(image.label, label);
  return image;
}

ipc::Request create_request(const std::string& name, const std::string& kernel,
                            const std::vector<std::string>& initrds) {
  ipc::Request request = ashlar_v1_Request_init_zero;
  request.which_verb = ashlar_v1_Request_create_tag;
  ashlar_v1_Create& create = request.verb.create;
  ipc::set_text(create.name, name);
  create.type = ashlar_v1_GuestType_GUEST_TYPE_PVH;
  create.vcpus = 1;
  create.memory_kib = 128 << 10;
  ipc::set_text(create.command_line, "console=hvc0");
  create.has_kernel = true;
  create.kernel = reference(kernel, "vmlinuz");
  for (const std::string& initrd : initrds)
    create.initrds[create.initrds_count++] = reference(initrd, "initrd");
  return request;
}

ipc::Request by_domid(pb_size_t verb, std::uint32_t domid) {
  ipc::Request request = ashlar_v1_Request_init_zero;
  request.which_verb = verb;
  ashlar_v1_DomainRef& by = verb == ashlar_v1_Request_console_open_tag
                                ? request.verb.console_open.domain
                                : request.verb.info;
  if (verb == ashlar_v1_Request_console_open_tag)
    request.verb.console_open.has_domain = true;
  by.which_by = ashlar_v1_DomainRef_domid_tag;
  by.by.domid = domid;
  return request;
}

Client::Client(Scene& scene) : turn_([&scene] { scene.turn(); }) {
  Result<std::unique_ptr<ipc::Transport>> connected = ipc::connect_unix(scene.settings.socket);
  REQUIRE(connected);
  transport_ = std::move(*connected);
  frames_ = std::make_unique<ipc::FrameStream>(*transport_);
}

Client::Client(std::unique_ptr<ipc::Transport> transport, std::function<void()> turn)
    : transport_(std::move(transport)), frames_(std::make_unique<ipc::FrameStream>(*transport_)),
      turn_(std::move(turn)) {}

void Client::hello() {
  ipc::Request request = ashlar_v1_Request_init_zero;
  request.which_verb = ashlar_v1_Request_hello_tag;
  request.verb.hello.version = 1;
  ipc::set_text(request.verb.hello.client, "test");
  REQUIRE(done(call(request)));
}

std::uint32_t Client::send(ipc::Request request) {
  if (request.id == 0)
    request.id = next_id_++;
  const auto bytes = ipc::encode(request);
  REQUIRE(bytes);
  REQUIRE(frames_->send(ipc::FrameKind::control, *bytes));
  return request.id;
}

void Client::send_data(const std::string& bytes) {
  REQUIRE(frames_->send(ipc::FrameKind::data, as_bytes(bytes)));
}

void Client::pump() {
  if (closed)
    return;
  if (!frames_->flush()) {
    closed = true;
    return;
  }
  for (;;) {
    const auto frame = frames_->receive();
    if (!frame) {
      closed = true;
      return;
    }
    if (!*frame)
      return;
    const auto response = ipc::decode_response((*frame)->payload);
    REQUIRE(response);
    answers.push_back(*response);
  }
}

bool Client::has_final(std::uint32_t id) const {
  return std::ranges::any_of(
      answers, [id](const ipc::Response& answer) { return answer.id == id && is_final(answer); });
}

ipc::Response Client::wait_final(std::uint32_t id) {
  for (int i = 0; i < 2000 && !has_final(id) && !closed; ++i) {
    turn_();
    pump();
  }
  for (const ipc::Response& answer : answers)
    if (answer.id == id && is_final(answer))
      return answer;
  FAIL(fmt::format("no final response to request {}{}", id,
                   closed ? ": the connection was closed" : ""));
  return {};
}

ipc::Response Client::upload(const std::string& bytes, const std::string& label) {
  ipc::Request begin = ashlar_v1_Request_init_zero;
  begin.which_verb = ashlar_v1_Request_upload_begin_tag;
  begin.verb.upload_begin.has_image = true;
  begin.verb.upload_begin.image = reference(bytes, label);
  const std::uint32_t id = send(begin);
  for (std::size_t at = 0; at < bytes.size(); at += chunk_bytes) {
    send_data(bytes.substr(at, chunk_bytes));
    turn_();
    pump();
  }
  ipc::Request end = ashlar_v1_Request_init_zero;
  end.id = id;
  end.which_verb = ashlar_v1_Request_upload_end_tag;
  send(end);
  return wait_final(id);
}

std::uint32_t Client::build(const std::string& name, const std::string& kernel,
                            const std::vector<std::string>& initrds) {
  const ipc::Request request = create_request(name, kernel, initrds);
  ipc::Response answer = call(request);
  if (answer.which_part == ashlar_v1_Response_missing_images_tag) {
    const auto& missing = answer.part.missing_images;
    for (pb_size_t i = 0; i < missing.positions_count; ++i) {
      const std::uint32_t position = missing.positions[i];
      REQUIRE(done(upload(position == 0 ? kernel : initrds.at(position - 1))));
    }
    answer = call(request);
  }
  REQUIRE_MESSAGE(done(answer), answer.part.failure.message);
  const auto built = parts(answer.id, ashlar_v1_Response_domain_tag);
  REQUIRE(built.size() == 1);
  return built[0].part.domain.domid;
}

std::vector<ipc::Response> Client::parts(std::uint32_t id, pb_size_t which) const {
  std::vector<ipc::Response> found;
  for (const ipc::Response& answer : answers)
    if (answer.id == id && answer.which_part == which)
      found.push_back(answer);
  return found;
}

bool Client::ends() {
  for (int i = 0; i < 2000 && !closed; ++i) {
    turn_();
    pump();
  }
  return closed;
}

bool done(const ipc::Response& response) {
  return response.which_part == ashlar_v1_Response_done_tag;
}

std::string outcome(const ipc::Response& response) {
  switch (response.which_part) {
  case ashlar_v1_Response_done_tag:
    return "done";
  case ashlar_v1_Response_refusal_tag:
    return "refusal";
  case ashlar_v1_Response_missing_images_tag:
    return "missing";
  case ashlar_v1_Response_failure_tag:
    return response.part.failure.code;
  default:
    return "part";
  }
}

} // namespace ashlar::broker::test
