// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/replies.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/broker/device_nodes.hpp"
#include "ashlar/request/configuration.hpp"
#include "ashlar/signature/limits.hpp"

namespace ashlar::broker {

namespace {

ipc::Response reply(std::uint32_t id, pb_size_t which) {
  ipc::Response response = ashlar_v1_Response_init_zero;
  response.id = id;
  response.which_part = which;
  return response;
}

/// For digests and UUIDs, whose field sizes are those of the types.
template <typename Field>
void set_fixed(Field& field, std::span<const std::byte> bytes) {
  static_cast<void>(ipc::set_bytes(field, bytes));
}

void set_digests(ashlar_v1_Digests& out, const measure::Digests& digests) {
  set_fixed(out.sha1, digests.sha1);
  set_fixed(out.sha256, digests.sha256);
  set_fixed(out.sha384, digests.sha384);
}

void set_image(ashlar_v1_Image& out, const UsedImage& image) {
  ipc::set_text(out.label, image.label);
  out.size = image.size;
  out.has_digests = true;
  set_digests(out.digests, image.digests);
}

ashlar_v1_GuestType wire_type(measure::GuestType type) {
  return type == measure::GuestType::pv ? ashlar_v1_GuestType_GUEST_TYPE_PV
                                        : ashlar_v1_GuestType_GUEST_TYPE_PVH;
}

ashlar_v1_StopAction wire_action(measure::StopAction action) {
  switch (action) {
  case measure::StopAction::destroy:
    return ashlar_v1_StopAction_STOP_ACTION_DESTROY;
  case measure::StopAction::restart:
    return ashlar_v1_StopAction_STOP_ACTION_RESTART;
  case measure::StopAction::preserve:
    return ashlar_v1_StopAction_STOP_ACTION_PRESERVE;
  }
  return ashlar_v1_StopAction_STOP_ACTION_UNSPECIFIED;
}

ashlar_v1_VtpmVersion wire_vtpm(measure::Vtpm vtpm) {
  switch (vtpm) {
  case measure::Vtpm::none:
    return ashlar_v1_VtpmVersion_VTPM_VERSION_NONE;
  case measure::Vtpm::tpm12:
    return ashlar_v1_VtpmVersion_VTPM_VERSION_1_2;
  case measure::Vtpm::tpm20:
    return ashlar_v1_VtpmVersion_VTPM_VERSION_2_0;
  }
  return ashlar_v1_VtpmVersion_VTPM_VERSION_UNSPECIFIED;
}

ashlar_v1_DomainState wire_state(const std::optional<xen::DomainStatus>& status) {
  if (!status || status->dying)
    return ashlar_v1_DomainState_DOMAIN_STATE_DYING;
  if (status->shutdown)
    return *status->shutdown == xen::ShutdownReason::crash
               ? ashlar_v1_DomainState_DOMAIN_STATE_CRASHED
               : ashlar_v1_DomainState_DOMAIN_STATE_SHUTDOWN;
  return status->paused ? ashlar_v1_DomainState_DOMAIN_STATE_PAUSED
                        : ashlar_v1_DomainState_DOMAIN_STATE_RUNNING;
}

void set_domain(ashlar_v1_Domain& out, const Domain& domain) {
  const measure::DomainConfiguration& configuration = domain.configuration;
  ipc::set_text(out.name, domain.name());
  set_fixed(out.uuid, domain.uuid());
  out.type = wire_type(configuration.type);
  out.vcpus = configuration.vcpus;
  out.memory_kib = configuration.memory_kib;
  out.max_memory_kib = configuration.max_memory_kib;
  ipc::set_text(out.requester, domain.record.requester);
  out.vtpm = wire_vtpm(configuration.vtpm);
  if (domain.vtpm_profile)
    ipc::set_text(out.vtpm_profile, measure::to_string(*domain.vtpm_profile));
}

void set_devices(ashlar_v1_Domain& out, const Domain& domain) {
  const measure::DomainConfiguration& configuration = domain.configuration;
  for (const measure::Disk& disk :
       std::span(configuration.disks)
           .first(std::min(configuration.disks.size(), std::size(out.disks)))) {
    ashlar_v1_Disk& shown = out.disks[out.disks_count++];
    ipc::set_text(shown.vdev, disk.vdev);
    shown.writable = disk.writable;
    ipc::set_text(shown.backend, disk.backend);
    ipc::set_text(shown.target, disk.target);
  }
  for (std::size_t i = 0; i < std::min(configuration.nics.size(), std::size(out.nics)); ++i) {
    const measure::Nic& nic = configuration.nics[i];
    ashlar_v1_Nic& shown = out.nics[out.nics_count++];
    ipc::set_text(shown.backend, nic.backend);
    ipc::set_text(shown.bridge, nic.bridge);
    ipc::set_text(shown.mac,
                  nic.mac.empty() ? made_up_mac(domain.uuid(), i).value_or("unknown") : nic.mac);
  }
}

void set_all(ashlar_v1_Domain& out, const Domain& domain) {
  ipc::set_text(out.command_line, domain.command_line);
  out.has_kernel = true;
  set_image(out.kernel, domain.kernel);
  const std::size_t initrds = std::min(domain.initrds.size(), std::size(out.initrds));
  for (std::size_t i = 0; i < initrds; ++i)
    set_image(out.initrds[i], domain.initrds[i]);
  out.initrds_count = static_cast<pb_size_t>(initrds);
  ipc::set_text(out.rule, domain.rule);
  ipc::set_text(out.policy_digest, domain.policy_digest);
  out.on_poweroff = wire_action(domain.configuration.on_poweroff);
  out.on_reboot = wire_action(domain.configuration.on_reboot);
  out.on_crash = wire_action(domain.configuration.on_crash);
  ipc::set_text(out.xsm_label, domain.configuration.xsm_label);
  set_devices(out, domain);
}

} // namespace

ipc::Response done_reply(std::uint32_t id) {
  return reply(id, ashlar_v1_Response_done_tag);
}

ipc::Response failure_reply(std::uint32_t id, const Error& error) {
  ipc::Response response = reply(id, ashlar_v1_Response_failure_tag);
  ashlar_v1_Failure& failure = response.part.failure;
  ipc::set_text(failure.code, to_string(error.code));
  ipc::set_text(failure.item, error.doing);
  ipc::set_text(failure.check, error.why);
  ipc::set_text(failure.limit, error.limit);
  ipc::set_text(failure.message, error.message());
  return response;
}

ipc::Response refusal_reply(std::uint32_t id, const policy::Decision& decision) {
  ipc::Response response = reply(id, ashlar_v1_Response_refusal_tag);
  ipc::set_text(response.part.refusal.reason, decision.reason);
  ipc::set_text(response.part.refusal.rule, decision.rule);
  return response;
}

ipc::Response progress_reply(std::uint32_t id, const char* stage, std::uint64_t done,
                             std::uint64_t total) {
  ipc::Response response = reply(id, ashlar_v1_Response_progress_tag);
  ipc::set_text(response.part.progress.stage, stage);
  response.part.progress.done = done;
  response.part.progress.total = total;
  return response;
}

ipc::Response image_reply(std::uint32_t id, const Image& image, const std::string& label) {
  ipc::Response response = reply(id, ashlar_v1_Response_image_tag);
  ipc::set_text(response.part.image.label, label);
  response.part.image.size = image.size;
  response.part.image.has_digests = true;
  set_digests(response.part.image.digests, image.digests);
  return response;
}

ipc::Response domain_reply(std::uint32_t id, const Domain& domain,
                           const std::optional<xen::DomainStatus>& status, const Domain* vtpm,
                           bool all) {
  ipc::Response response = reply(id, ashlar_v1_Response_domain_tag);
  ashlar_v1_Domain& out = response.part.domain;
  set_domain(out, domain);
  out.domid = domain.domid();
  out.serial = domain.record.serial;
  out.started_unix = domain.started_unix;
  out.state = wire_state(status);
  out.vtpm_domid = vtpm ? vtpm->domid() : 0;
  if (status) {
    out.cpu_time_ns = status->cpu_time_ns;
    out.memory_kib = status->memory_kib;
  }
  if (all)
    set_all(out, domain);
  return response;
}

ipc::Response draft_reply(std::uint32_t id, const Domain& draft) {
  ipc::Response response = reply(id, ashlar_v1_Response_domain_tag);
  set_domain(response.part.domain, draft);
  response.part.domain.state = ashlar_v1_DomainState_DOMAIN_STATE_BUILDING;
  return response;
}

ipc::Response record_reply(std::uint32_t id, const Domain& domain) {
  ipc::Response response = reply(id, ashlar_v1_Response_record_tag);
  ashlar_v1_RecordHead& head = response.part.record;
  head.serial = domain.record.serial;
  head.domid = domain.domid();
  set_fixed(head.uuid, domain.uuid());
  ipc::set_text(head.requester, domain.record.requester);
  head.events = static_cast<std::uint32_t>(domain.record.events.size());
  ipc::set_text(head.name, domain.name());
  return response;
}

ipc::Response event_reply(std::uint32_t id, const measure::Event& event) {
  ipc::Response response = reply(id, ashlar_v1_Response_event_tag);
  ashlar_v1_RecordEvent& out = response.part.event;
  ipc::set_text(out.type, measure::to_string(event.type));
  ipc::set_text(out.label, event.label);
  static_cast<void>(ipc::set_bytes(
      out.content,
      as_bytes(event.content).first(std::min(event.content.size(), sizeof out.content.bytes))));
  out.size = event.size;
  out.has_digests = true;
  set_digests(out.digests, event.digests);
  return response;
}

ipc::Response host_reply(std::uint32_t id, const tpm::Ack& state) {
  ipc::Response response = reply(id, ashlar_v1_Response_host_state_tag);
  ashlar_v1_HostState& host = response.part.host_state;
  host.pcr = state.pcr;
  set_fixed(host.sha256, state.value);
  host.log_events = state.log_events;
  return response;
}

Result<ipc::Response> host_keys_reply(std::uint32_t id, const tpm::HostIdentity& identity) {
  ipc::Response response = reply(id, ashlar_v1_Response_host_keys_tag);
  ashlar_v1_HostKeys& keys = response.part.host_keys;
  if (!ipc::set_bytes(keys.attestation_key, identity.attestation_key) ||
      !ipc::set_bytes(keys.endorsement_key, identity.endorsement_key) ||
      !ipc::set_bytes(keys.endorsement_certificate, identity.endorsement_certificate) ||
      identity.pcrs.size() > std::size(keys.pcrs))
    return limit_failure("telling the keys of the hardware TPM", "one is too long",
                         "ipc/ashlar.options");
  for (const auto& [pcr, value] : identity.pcrs) {
    ashlar_v1_HostPcr& out = keys.pcrs[keys.pcrs_count++];
    out.pcr = pcr;
    set_fixed(out.sha256, value);
  }
  return response;
}

Result<UsedImage> used_image(const ashlar_v1_ImageRef& reference, const std::string& what) {
  UsedImage image;
  const std::span<const std::byte> digest = ipc::bytes_of(reference.sha256);
  if (digest.size() != image.digests.sha256.size())
    return failure(ErrorCode::invalid, "reading " + what,
                   fmt::format("its SHA-256 has {} bytes, 32 are needed", digest.size()));
  std::ranges::copy(digest, image.digests.sha256.begin());
  image.label = reference.label;
  image.size = reference.size;
  return image;
}

namespace {

/// The signatures that came along, each with its image. Whose they are is for the verifier to say.
Status take_signatures(const ashlar_v1_Create& create, GuestRequest& request) {
  static_assert(sizeof create.kernel_signature.bytes == signature::max_request_signature_bytes);
  static_assert(sizeof create.initrds / sizeof create.initrds[0] + 1 ==
                signature::max_request_signatures);
  const auto copy = [](const auto& field, UsedImage& image) {
    const std::span<const std::byte> bytes = ipc::bytes_of(field);
    image.signature.assign(bytes.begin(), bytes.end());
  };
  copy(create.kernel_signature, request.kernel);
  if (create.initrd_signatures_count != 0 && create.initrd_signatures_count != create.initrds_count)
    return failure(ErrorCode::invalid, "reading the request",
                   fmt::format("it has {} initrds and {} signatures of initrds: send one for each, "
                               "an empty one where there is none",
                               create.initrds_count, create.initrd_signatures_count));
  for (pb_size_t i = 0; i < create.initrd_signatures_count; ++i)
    copy(create.initrd_signatures[i], request.initrds[i]);
  return {};
}

} // namespace

Result<GuestRequest> guest_request(const ashlar_v1_Create& create) {
  GuestRequest request;
  request.configuration = TRY(ashlar::request::configuration_of(create));
  if (create.uuid.size != 0) {
    const std::span<const std::byte> bytes = ipc::bytes_of(create.uuid);
    measure::Uuid uuid{};
    if (bytes.size() != uuid.size())
      return failure(ErrorCode::invalid, "reading the request",
                     fmt::format("its UUID has {} bytes, 16 are needed", bytes.size()));
    std::ranges::copy(bytes, uuid.begin());
    request.uuid = uuid;
    request.uuid_given = true;
  }
  request.command_line = create.command_line;
  if (!create.has_kernel)
    return failure(ErrorCode::invalid, "reading the request", "it names no kernel");
  request.kernel = TRY(used_image(create.kernel, "the kernel"));
  for (pb_size_t i = 0; i < create.initrds_count; ++i)
    request.initrds.push_back(TRY(used_image(create.initrds[i], fmt::format("initrd {}", i + 1))));
  TRY(take_signatures(create, request));
  request.leave_paused = create.paused;
  return request;
}

} // namespace ashlar::broker
