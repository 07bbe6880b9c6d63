// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/commands.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ashlar/cli/format.hpp"
#include "ashlar/cli/prediction.hpp"

namespace ashlar::cli {

namespace {

ipc::Request request_for(pb_size_t verb) {
  ipc::Request request{};
  request.which_verb = verb;
  return request;
}

// The request of a verb that is about one domain. All such verbs carry the same DomainRef, in the
// same place of the union.
Outcome<ipc::Request> domain_request(const Arguments& arguments, pb_size_t verb) {
  const Result<ashlar_v1_DomainRef> domain = domain_from_text(arguments.domain);
  if (!domain)
    return std::unexpected(Problem::usage(domain.error()));
  ipc::Request request = request_for(verb);
  switch (verb) {
  case ashlar_v1_Request_info_tag:
    request.verb.info = *domain;
    break;
  case ashlar_v1_Request_measurement_tag:
    request.verb.measurement = *domain;
    break;
  case ashlar_v1_Request_destroy_tag:
    request.verb.destroy = *domain;
    break;
  case ashlar_v1_Request_pause_tag:
    request.verb.pause = *domain;
    break;
  case ashlar_v1_Request_unpause_tag:
    request.verb.unpause = *domain;
    break;
  case ashlar_v1_Request_shutdown_tag:
    request.verb.shutdown = *domain;
    break;
  default:
    request.verb.reboot = *domain;
    break;
  }
  return request;
}

std::unexpected<Problem> missing_answer(const char* what) {
  return std::unexpected(
      Problem::transport({ErrorCode::invalid, "reading the builder's answer",
                          fmt::format("it ended without {}; is the builder older?", what), 0}));
}

Outcome<std::string> list(const Arguments& arguments, Session& session) {
  ipc::Request request = request_for(ashlar_v1_Request_list_tag);
  std::vector<ashlar_v1_Domain> domains;
  TRY(session.call(request, [&](const ipc::Response& part) {
    if (part.which_part == ashlar_v1_Response_domain_tag)
      domains.push_back(part.part.domain);
  }));
  return arguments.json ? json_text(domains_json(domains)) + "\n"
                        : domains_table(domains, arguments.long_listing);
}

Outcome<ashlar_v1_Domain> ask_domain(const Arguments& arguments, Session& session) {
  ipc::Request request = TRY(domain_request(arguments, ashlar_v1_Request_info_tag));
  std::optional<ashlar_v1_Domain> domain;
  TRY(session.call(request, [&](const ipc::Response& part) {
    if (part.which_part == ashlar_v1_Response_domain_tag)
      domain = part.part.domain;
  }));
  if (!domain)
    return missing_answer("a domain");
  return *domain;
}

Outcome<std::string> info(const Arguments& arguments, Session& session) {
  const ashlar_v1_Domain domain = TRY(ask_domain(arguments, session));
  return arguments.json ? json_text(domain_json(domain)) + "\n" : domain_text(domain);
}

Outcome<std::string> domid(const Arguments& arguments, Session& session) {
  const ashlar_v1_Domain domain = TRY(ask_domain(arguments, session));
  if (arguments.json)
    return json_text({{"name", domain.name}, {"domid", domain.domid}}) + "\n";
  return std::to_string(domain.domid) + "\n";
}

Outcome<std::string> measurement_with_pcrs(const Arguments& arguments, const RecordParts& record) {
  const measure::Profile profile = TRY(measure::profile_from_text(arguments.profile));
  std::vector<measure::Event> events = TRY(events_of(record));
  const Prediction meaning = TRY(predict(profile, std::move(events)));
  TRY(write_logs(meaning, arguments.log_file, arguments.cel_file));
  if (!arguments.json)
    return record_text(record) + pcrs_text(meaning);
  nlohmann::ordered_json object = record_json(record);
  object["profile"] = arguments.profile;
  object["pcrs"] = pcrs_json(meaning);
  return json_text(object) + "\n";
}

Outcome<std::string> measurement(const Arguments& arguments, Session& session) {
  ipc::Request request = TRY(domain_request(arguments, ashlar_v1_Request_measurement_tag));
  RecordParts record;
  bool headed = false;
  TRY(session.call(request, [&](const ipc::Response& part) {
    if (part.which_part == ashlar_v1_Response_event_tag)
      record.events.push_back(part.part.event);
    if (part.which_part != ashlar_v1_Response_record_tag)
      return;
    record.head = part.part.record;
    headed = true;
  }));
  // A record that lost an event on the way must not look like a whole one.
  if (!headed || record.head.events != record.events.size())
    return missing_answer("all events of the record");
  if (!arguments.profile.empty())
    return measurement_with_pcrs(arguments, record);
  return arguments.json ? json_text(record_json(record)) + "\n" : record_text(record);
}

Outcome<std::string> act(const Arguments& arguments, Session& session, pb_size_t verb) {
  ipc::Request request = TRY(domain_request(arguments, verb));
  TRY(session.call(request, {}));
  return arguments.json ? std::string("{}\n") : std::string();
}

Outcome<std::string> images(const Arguments& arguments, Session& session) {
  ipc::Request request = request_for(ashlar_v1_Request_images_tag);
  std::vector<ashlar_v1_Image> images;
  TRY(session.call(request, [&](const ipc::Response& part) {
    if (part.which_part == ashlar_v1_Response_image_tag)
      images.push_back(part.part.image);
  }));
  return arguments.json ? json_text(images_json(images)) + "\n" : images_table(images);
}

void append_piece(std::vector<PolicyFile>& files, const ashlar_v1_PolicyText& piece) {
  if (files.empty() || files.back().name != piece.file)
    files.push_back({piece.file, {}});
  for (const std::byte byte : ipc::bytes_of(piece.text))
    files.back().text.push_back(std::to_integer<char>(byte));
}

Outcome<std::string> policy(const Arguments& arguments, Session& session, pb_size_t verb) {
  ipc::Request request = request_for(verb);
  std::vector<PolicyFile> files;
  ashlar_v1_PolicyState state{};
  TRY(session.call(request, [&](const ipc::Response& part) {
    if (part.which_part == ashlar_v1_Response_policy_text_tag)
      append_piece(files, part.part.policy_text);
    if (part.which_part == ashlar_v1_Response_policy_state_tag)
      state = part.part.policy_state;
  }));
  // A reload that left the old policy in force has not done what was asked.
  if (verb == ashlar_v1_Request_policy_reload_tag && state.load_error[0] != '\0')
    return std::unexpected(
        Problem({ErrorCode::invalid, "reloading the policy; the old one stays in force",
                 state.load_error, 0}));
  return arguments.json ? json_text(policy_json(files, state)) + "\n" : policy_text(files, state);
}

Outcome<std::string> version(const Arguments& arguments, Session& session) {
  const ashlar_v1_Welcome& welcome = session.client().welcome();
  return arguments.json ? json_text(version_json(welcome)) + "\n" : version_text(welcome);
}

// The verbs that one connection to the builder serves.
Outcome<std::string> ask_builder(const Arguments& arguments) {
  Session session = TRY(Session::open(arguments));
  switch (arguments.verb) {
  case Verb::list:
    return list(arguments, session);
  case Verb::info:
    return info(arguments, session);
  case Verb::measurement:
    return measurement(arguments, session);
  case Verb::destroy:
    return act(arguments, session, ashlar_v1_Request_destroy_tag);
  case Verb::pause:
    return act(arguments, session, ashlar_v1_Request_pause_tag);
  case Verb::unpause:
    return act(arguments, session, ashlar_v1_Request_unpause_tag);
  case Verb::shutdown:
    return act(arguments, session, ashlar_v1_Request_shutdown_tag);
  case Verb::reboot:
    return act(arguments, session, ashlar_v1_Request_reboot_tag);
  case Verb::console:
    return console(arguments, session);
  case Verb::domid:
    return domid(arguments, session);
  case Verb::images:
    return images(arguments, session);
  case Verb::host:
    return host(arguments, session);
  case Verb::policy_show:
    return policy(arguments, session, ashlar_v1_Request_policy_show_tag);
  case Verb::policy_reload:
    return policy(arguments, session, ashlar_v1_Request_policy_reload_tag);
  default:
    return version(arguments, session);
  }
}

} // namespace

Outcome<Answer> run(const Arguments& arguments) {
  switch (arguments.verb) {
  case Verb::create: // opens its session after the images are hashed: an idle one is not held open
    return create(arguments);
  case Verb::upload: // the same
    return upload(arguments);
  case Verb::policy_check:
    return policy_check(arguments);
  case Verb::policy_explain:
    return policy_explain(arguments);
  case Verb::policy_test:
    return policy_test(arguments);
  case Verb::policy_hash:
    return policy_hash(arguments);
  case Verb::policy_sign:
    return policy_sign(arguments);
  case Verb::image_inspect:
    return image_inspect(arguments);
  case Verb::measure:
    return measure_files(arguments);
  case Verb::verify:
    return verify_bundle(arguments);
  case Verb::explain:
    return explain(arguments);
  default:
    return ask_builder(arguments);
  }
}

} // namespace ashlar::cli
