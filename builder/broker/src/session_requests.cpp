// SPDX-License-Identifier: LGPL-2.1-or-later
// A session's requests: who may, and carrying them out.
#include "ashlar/broker/session.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/limits.hpp"
#include "ashlar/broker/version.hpp"

namespace ashlar::broker {

namespace {

constexpr std::size_t policy_piece_bytes = 4096; // PolicyText.text in ashlar.options
constexpr std::size_t max_shown_policy_bytes = 512u
                                               << 10; // half of what may wait for a slow client

std::string describe(const ashlar_v1_DomainRef& reference) {
  switch (reference.which_by) {
  case ashlar_v1_DomainRef_domid_tag:
    return fmt::format("domid {}", reference.by.domid);
  case ashlar_v1_DomainRef_name_tag:
    return fmt::format("the name \"{}\"", reference.by.name);
  case ashlar_v1_DomainRef_uuid_tag:
    return "UUID " + to_hex(ipc::bytes_of(reference.by.uuid));
  default:
    return "nothing: give a domid, a name or a UUID";
  }
}

const Domain* find(const Domains& domains, const ashlar_v1_DomainRef& reference) {
  switch (reference.which_by) {
  case ashlar_v1_DomainRef_domid_tag:
    return domains.find(reference.by.domid);
  case ashlar_v1_DomainRef_name_tag:
    return domains.find_name(reference.by.name);
  case ashlar_v1_DomainRef_uuid_tag: {
    const std::span<const std::byte> bytes = ipc::bytes_of(reference.by.uuid);
    measure::Uuid uuid{};
    if (bytes.size() != uuid.size())
      return nullptr;
    std::ranges::copy(bytes, uuid.begin());
    return domains.find_uuid(uuid);
  }
  default:
    return nullptr;
  }
}

/// How a domain uses an image; nothing when it does not.
const UsedImage* use_of(const Domain& domain, const ImageHandle& image) {
  if (domain.kernel.image == image)
    return &domain.kernel;
  const auto initrd = std::ranges::find(domain.initrds, image, &UsedImage::image);
  return initrd == domain.initrds.end() ? nullptr : &*initrd;
}

const Domain* vtpm_of(const Services& services, const Domain& domain) {
  return services.domains.find_vtpm_of(domain.record.serial);
}

std::string no_rule_for(policy::Verb verb) {
  return fmt::format("no rule allows you to {}", policy::to_string(verb));
}

} // namespace

Status Session::dispatch(const ipc::Request& request) {
  const std::uint32_t id = request.id;
  const bool taken =
      builds_.contains(id) || (upload_ && upload_->id == id) || consoles_.contains(id);
  const bool continues = request.which_verb == ashlar_v1_Request_upload_end_tag ||
                         request.which_verb == ashlar_v1_Request_console_input_tag;
  if (taken && !continues)
    return failure(ErrorCode::invalid, "reading a request",
                   fmt::format("its id {} is that of a request under way", id));
  const auto& verb = request.verb;
  switch (request.which_verb) {
  case ashlar_v1_Request_hello_tag:
    hello(id, verb.hello);
    break;
  case ashlar_v1_Request_create_tag:
    create(id, verb.create);
    break;
  case ashlar_v1_Request_upload_begin_tag:
    upload_begin(id, verb.upload_begin);
    break;
  case ashlar_v1_Request_upload_end_tag:
    upload_end(id);
    break;
  case ashlar_v1_Request_cancel_tag:
    cancel(id, verb.cancel.id);
    break;
  case ashlar_v1_Request_list_tag:
    list(id);
    break;
  case ashlar_v1_Request_info_tag:
    info(id, verb.info);
    break;
  case ashlar_v1_Request_measurement_tag:
    measurement(id, verb.measurement);
    break;
  case ashlar_v1_Request_destroy_tag:
    act(id, policy::Verb::destroy, verb.destroy);
    break;
  case ashlar_v1_Request_pause_tag:
    act(id, policy::Verb::pause, verb.pause);
    break;
  case ashlar_v1_Request_unpause_tag:
    act(id, policy::Verb::unpause, verb.unpause);
    break;
  case ashlar_v1_Request_shutdown_tag:
    act(id, policy::Verb::shutdown, verb.shutdown);
    break;
  case ashlar_v1_Request_reboot_tag:
    act(id, policy::Verb::reboot, verb.reboot);
    break;
  case ashlar_v1_Request_console_open_tag:
    console_open(id, verb.console_open);
    break;
  case ashlar_v1_Request_console_input_tag:
    console_input(id, verb.console_input);
    break;
  case ashlar_v1_Request_images_tag:
    images(id);
    break;
  case ashlar_v1_Request_policy_show_tag:
    show_policy(id);
    break;
  case ashlar_v1_Request_policy_reload_tag:
    reload_policy(id);
    break;
  case ashlar_v1_Request_host_tag:
    host(id, verb.host.keys);
    break;
  default:
    send(failure_reply(id,
                       {ErrorCode::unsupported, "reading a request",
                        "this builder does not know what is asked: it may be newer than protocol "
                        "version 1",
                        0}));
  }
  return {};
}

void Session::hello(std::uint32_t id, const ashlar_v1_Hello& hello) {
  if (hello.version != protocol_version) {
    send(failure_reply(id, {ErrorCode::unsupported, "greeting",
                            fmt::format("you speak protocol version {}, this builder speaks {}",
                                        hello.version, protocol_version),
                            0}));
    return close("it speaks another protocol version");
  }
  greeted_ = true;
  ipc::Response response = ashlar_v1_Response_init_zero;
  response.id = id;
  response.which_part = ashlar_v1_Response_welcome_tag;
  ashlar_v1_Welcome& welcome = response.part.welcome;
  welcome.version = protocol_version;
  ipc::set_text(welcome.builder, builder_version);
  const auto* domain = std::get_if<ipc::VchanPeer>(&transport_peer_);
  ipc::set_text(welcome.transport, domain ? "vchan" : "unix");
  welcome.domid = domain ? domain->domid : 0;
  const auto requester = services_.policy.current()->requester_name(peer_);
  ipc::set_text(welcome.requester, requester.value_or(""));
  send(response);
  send(done_reply(id));
  log::debug("{} says hello as {}; requester \"{}\"", name_, printable(hello.client),
             requester.value_or("(none)"));
}

void Session::finish(std::uint32_t id, const Status& outcome) {
  if (!outcome)
    note("{}", outcome.error().message());
  send(outcome ? done_reply(id) : failure_reply(id, outcome.error()));
}

std::optional<policy::Decision> Session::allowed(std::uint32_t id, policy::Verb verb) {
  policy::Request question;
  question.peer = peer_;
  question.verb = verb;
  policy::Decision decision = services_.policy.current()->decide(question);
  if (decision.allowed)
    return decision;
  if (decision.reason.empty())
    decision.reason = no_rule_for(verb);
  note("{} refused: {}", policy::to_string(verb), decision.reason);
  send(refusal_reply(id, decision));
  return std::nullopt;
}

const Domain* Session::allowed_domain(std::uint32_t id, policy::Verb verb,
                                      const ashlar_v1_DomainRef& reference) {
  const std::optional<policy::Decision> decision = allowed(id, verb);
  if (!decision)
    return nullptr;
  const Domain* domain = find(services_.domains, reference);
  // What a requester may not see does not exist for it: the same answer, word for word.
  if (domain && services_.policy.current()->may_see(decision->requester, domain->record.requester))
    return domain;
  finish(id, failure(ErrorCode::not_found,
                     fmt::format("looking for the domain to {}", policy::to_string(verb)),
                     fmt::format("there is none with {}; `ashlar list` shows yours",
                                 describe(reference))));
  return nullptr;
}

void Session::list(std::uint32_t id) {
  const std::optional<policy::Decision> decision = allowed(id, policy::Verb::list);
  if (!decision)
    return;
  const auto policy = services_.policy.current();
  const Result<std::vector<xen::DomainStatus>> statuses = services_.hypervisor.domains();
  if (!statuses)
    return finish(id, std::unexpected(statuses.error()));
  for (const auto& [domid, domain] : services_.domains.all()) {
    if (!policy->may_see(decision->requester, domain.record.requester))
      continue;
    std::optional<xen::DomainStatus> status;
    for (const xen::DomainStatus& candidate : *statuses)
      if (candidate.domid == domid && candidate.uuid == domain.uuid())
        status = candidate;
    send(domain_reply(id, domain, status, vtpm_of(services_, domain), false));
  }
  for (const Domain* draft : services_.builds.drafts())
    if (policy->may_see(decision->requester, draft->record.requester))
      send(draft_reply(id, *draft));
  send(done_reply(id));
}

void Session::info(std::uint32_t id, const ashlar_v1_DomainRef& reference) {
  const Domain* domain = allowed_domain(id, policy::Verb::info, reference);
  if (!domain)
    return;
  const Result<std::optional<xen::DomainStatus>> status =
      services_.hypervisor.domain(domain->domid());
  if (!status)
    return finish(id, std::unexpected(status.error()));
  send(domain_reply(id, *domain, *status, vtpm_of(services_, *domain), true));
  send(done_reply(id));
}

void Session::measurement(std::uint32_t id, const ashlar_v1_DomainRef& reference) {
  const Domain* domain = allowed_domain(id, policy::Verb::measurement, reference);
  if (!domain)
    return;
  send(record_reply(id, *domain));
  for (const measure::Event& event : domain->record.events)
    send(event_reply(id, event));
  send(done_reply(id));
}

void Session::act(std::uint32_t id, policy::Verb verb, const ashlar_v1_DomainRef& reference) {
  const Domain* domain = allowed_domain(id, verb, reference);
  if (!domain)
    return;
  const std::uint32_t domid = domain->domid();
  note("{} of domain {} ({})", policy::to_string(verb), domid, domain->name());
  switch (verb) {
  case policy::Verb::destroy:
    return finish(id, services_.domains.destroy(domid));
  case policy::Verb::pause:
    return finish(id, services_.domains.pause(domid));
  case policy::Verb::unpause:
    return finish(id, services_.domains.unpause(domid));
  case policy::Verb::shutdown:
    return finish(id, services_.store.request_shutdown(domid, "poweroff"));
  case policy::Verb::reboot:
    return finish(id, services_.store.request_shutdown(domid, "reboot"));
  default:
    return finish(id, failure(ErrorCode::internal, "acting on a domain", "no such action"));
  }
}

void Session::images(std::uint32_t id) {
  const std::optional<policy::Decision> decision = allowed(id, policy::Verb::images);
  if (!decision)
    return;
  for (const ImageHandle& image : services_.images.held_by(decision->requester)) {
    std::uint32_t users = 0;
    std::string label; // as in a domain that uses it: the store itself knows digests, not names
    for (const auto& [domid, domain] : services_.domains.all()) {
      // Only the asker's own use is told: others may hold the same bytes.
      const UsedImage* use =
          domain.record.requester == decision->requester ? use_of(domain, image) : nullptr;
      if (!use)
        continue;
      ++users;
      label = use->label;
    }
    ipc::Response response = image_reply(id, *image, label);
    response.part.image.users = users;
    send(response);
  }
  send(done_reply(id));
}

void Session::show_policy(std::uint32_t id) {
  if (!allowed(id, policy::Verb::policy_show))
    return;
  const auto policy = services_.policy.current();
  std::size_t total = 0;
  for (const policy::PolicyFile& file : policy->files())
    total += file.text.size();
  if (total > max_shown_policy_bytes)
    return finish(id, limit_failure("showing the policy",
                                    fmt::format("its files have {} bytes: read them in the builder "
                                                "domain",
                                                total),
                                    fmt::format("{} bytes", max_shown_policy_bytes)));
  ipc::Response state = ashlar_v1_Response_init_zero;
  state.id = id;
  state.which_part = ashlar_v1_Response_policy_state_tag;
  ipc::set_text(state.part.policy_state.digest, policy->digest());
  ipc::set_text(state.part.policy_state.load_error, services_.policy.load_error());
  send(state);
  for (const policy::PolicyFile& file : policy->files())
    for (std::size_t at = 0; at < file.text.size(); at += policy_piece_bytes) {
      ipc::Response text = ashlar_v1_Response_init_zero;
      text.id = id;
      text.which_part = ashlar_v1_Response_policy_text_tag;
      ipc::set_text(text.part.policy_text.file, file.name);
      static_cast<void>(ipc::set_bytes(text.part.policy_text.text,
                                       as_bytes(file.text.substr(at, policy_piece_bytes))));
      send(text);
    }
  send(done_reply(id));
}

void Session::host(std::uint32_t id, bool keys) {
  if (!allowed(id, policy::Verb::host))
    return;
  // One at a time: the TPM Manager's attention belongs to records.
  if (host_asked_)
    return finish(id, failure(ErrorCode::busy, "asking what the hardware TPM holds",
                              "this connection waits for an answer already"));
  host_asked_ = true;
  services_.manager.query(
      [this, id, keys, alive = std::weak_ptr(alive_)](const Result<tpm::Ack>& state) {
        if (alive.expired())
          return;
        if (state)
          send(host_reply(id, *state));
        if (state && keys)
          return host_keys(id);
        host_asked_ = false;
        finish(id, state ? Status{} : std::unexpected(state.error()));
      });
}

void Session::host_keys(std::uint32_t id) {
  services_.manager.identify(
      [this, id, alive = std::weak_ptr(alive_)](const Result<tpm::HostIdentity>& identity) {
        if (alive.expired())
          return;
        host_asked_ = false;
        if (!identity)
          return finish(id, std::unexpected(identity.error()));
        const Result<ipc::Response> response = host_keys_reply(id, *identity);
        if (response)
          send(*response);
        finish(id, response ? Status{} : std::unexpected(response.error()));
      });
}

void Session::reload_policy(std::uint32_t id) {
  if (!allowed(id, policy::Verb::policy_reload))
    return;
  note("policy-reload");
  finish(id, services_.policy.reload());
}

void Session::cancel(std::uint32_t id, std::uint32_t target) {
  const Error cancelled{ErrorCode::cancelled, "carrying out the request", "it was cancelled", 0};
  if (const auto build = builds_.find(target); build != builds_.end()) {
    give_up(build->second, "its requester cancelled it");
    builds_.erase(build);
    send(failure_reply(target, cancelled));
  } else if (upload_ && upload_->id == target) {
    // Bytes that are on their way already are dropped until its upload_end.
    upload_->intake.reset();
    upload_->room.reset();
    send(failure_reply(target, cancelled));
  } else if (consoles_.erase(target) != 0) {
    send(done_reply(target));
  }
  // A target that has ended by itself meanwhile is no mistake of the client.
  send(done_reply(id));
}

} // namespace ashlar::broker
