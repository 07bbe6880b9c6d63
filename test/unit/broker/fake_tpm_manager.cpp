// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include "fakes.hpp"

namespace ashlar::broker::test {

namespace {

class FakeTpmManager final : public TpmManager {
public:
  explicit FakeTpmManager(World& world) : world_(world) { world_.tpm_answers.clear(); }

  bool present() const override { return world_.tpm_manager; }
  void runs_in(std::uint32_t domid) override {
    world_.calls.push_back(fmt::format("tpm-runs-in {}", domid));
  }
  void put(const measure::Record& record, Done done) override {
    take("tpm-put", record.serial, std::move(done));
  }
  void bind(const tpm::Binding& binding, Done done) override {
    world_.bindings.push_back(binding);
    take("tpm-bind", binding.guest_serial, std::move(done));
  }
  void revoke(std::uint64_t serial, Done done) override {
    take("tpm-revoke", serial, std::move(done));
  }
  void query(Done done) override { take("tpm-query", 0, std::move(done)); }
  void identify(IdentityDone done) override {
    world_.calls.emplace_back("tpm-identify 0");
    if (world_.fails("tpm-identify"))
      return done(failure(ErrorCode::io, "asking the fake TPM Manager", "its TPM is dead"));
    done(world_.identity);
  }

private:
  void take(const std::string& call, std::uint64_t serial, Done done) {
    if (world_.tpm_manager)
      world_.calls.push_back(fmt::format("{} {}", call, serial));
    Result<tpm::Ack> answer = tpm::Ack{.serial = serial};
    if (world_.fails(call))
      answer = failure(ErrorCode::timeout, "asking the fake TPM Manager", "no answer");
    if (world_.fails(call + "-refused"))
      answer = failure(ErrorCode::exists, "asking the fake TPM Manager", "it has another record");
    auto tell = [done = std::move(done), answer] {
      if (done)
        done(answer);
    };
    if (world_.hold_tpm_manager)
      world_.tpm_answers.push_back(std::move(tell));
    else
      tell();
  }

  World& world_;
};

} // namespace

void World::release_tpm_manager() {
  auto answer = std::move(tpm_answers.front());
  tpm_answers.pop_front();
  answer();
}

std::unique_ptr<TpmManager> fake_tpm_manager(World& world) {
  return std::make_unique<FakeTpmManager>(world);
}

} // namespace ashlar::broker::test
