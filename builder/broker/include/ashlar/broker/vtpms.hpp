// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ashlar/broker/services.hpp"

namespace ashlar::broker {

/// Builds a domain with a vTPM for each guest that is to have one, and waits until it says that the
/// guest's measurement is in its PCRs:
///
///   build, paused → bound with the TPM Manager → devices → start → "extended" in its
///   data/vtpm-state
class Vtpms : public VtpmProvider {
public:
  explicit Vtpms(Services& services) : services_(services) {}
  ~Vtpms() override;
  Vtpms(const Vtpms&) = delete;
  Vtpms& operator=(const Vtpms&) = delete;

  void provide(const Domain& guest, Stage stage, Done done) override;
  void give_up(std::uint64_t guest_serial) override;

  /// A watched node of xenstore changed.
  void store_changed(std::string_view path);
  /// A domain has come or gone: is it a vTPM that is being waited for?
  void domains_changed();

private:
  struct Start {
    Stage stage;
    Done done;
    std::optional<Builds::Id> build; // while its domain is built
    std::uint64_t serial = 0;        // the vTPM's, once it is built
    std::uint32_t domid = 0;         // likewise
    std::string report;              // the node that it reports in, once it runs
    EventLoop::Id limit = 0;
    EventLoop::Id progress = 0;
  };
  [[nodiscard]] Result<Builds::Id> build(const Domain& guest);
  [[nodiscard]] Result<UsedImage> image(const std::string& path, std::uint64_t limit,
                                        std::optional<UsedImage>& kept);
  void built(std::uint64_t guest_serial, const Result<const Domain*>& vtpm);
  void bound(std::uint64_t guest_serial, const Result<tpm::Ack>& ack);
  [[nodiscard]] Status launch(std::uint64_t guest_serial, Start& start);
  void show_progress(std::uint64_t guest_serial);
  void finish(std::uint64_t guest_serial, const Status& outcome);
  void tidy_up(Start& start);

  Services& services_;
  std::map<std::uint64_t, Start> starts_; // by the guest's serial
  std::optional<UsedImage> kernel_;       // taken in for the first vTPM, and kept
  std::optional<UsedImage> initrd_;
};

} // namespace ashlar::broker
