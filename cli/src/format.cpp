// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/table.hpp"
#include "ashlar/measure/record.hpp"

namespace ashlar::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kib_per_mib = 1024;
constexpr std::size_t shown_content_bytes = measure::max_content_bytes;

const char* word(ashlar_v1_GuestType type) {
  switch (type) {
  case ashlar_v1_GuestType_GUEST_TYPE_PV:
    return "pv";
  case ashlar_v1_GuestType_GUEST_TYPE_PVH:
    return "pvh";
  default:
    return "unknown";
  }
}

const char* word(ashlar_v1_DomainState state) {
  switch (state) {
  case ashlar_v1_DomainState_DOMAIN_STATE_BUILDING:
    return "building";
  case ashlar_v1_DomainState_DOMAIN_STATE_PAUSED:
    return "paused";
  case ashlar_v1_DomainState_DOMAIN_STATE_RUNNING:
    return "running";
  case ashlar_v1_DomainState_DOMAIN_STATE_SHUTDOWN:
    return "shutdown";
  case ashlar_v1_DomainState_DOMAIN_STATE_CRASHED:
    return "crashed";
  case ashlar_v1_DomainState_DOMAIN_STATE_DYING:
    return "dying";
  default:
    return "unknown";
  }
}

const char* word(ashlar_v1_VtpmVersion vtpm) {
  switch (vtpm) {
  case ashlar_v1_VtpmVersion_VTPM_VERSION_1_2:
    return "1.2";
  case ashlar_v1_VtpmVersion_VTPM_VERSION_2_0:
    return "2.0";
  default:
    return "none";
  }
}

std::string vtpm_text(const ashlar_v1_Domain& domain) {
  if (domain.vtpm_profile[0] == '\0')
    return word(domain.vtpm);
  return fmt::format("{}, PCR profile {}, domain {}", word(domain.vtpm), domain.vtpm_profile,
                     domain.vtpm_domid);
}

const char* word(ashlar_v1_StopAction action) {
  switch (action) {
  case ashlar_v1_StopAction_STOP_ACTION_DESTROY:
    return "destroy";
  case ashlar_v1_StopAction_STOP_ACTION_RESTART:
    return "restart";
  case ashlar_v1_StopAction_STOP_ACTION_PRESERVE:
    return "preserve";
  default:
    return "default";
  }
}

template <typename Field>
std::string uuid_text(const Field& field) {
  measure::Uuid uuid{};
  if (field.size != uuid.size())
    return {};
  std::ranges::copy(ipc::bytes_of(field), uuid.begin());
  return measure::to_string(uuid);
}

std::string seconds(std::uint64_t nanoseconds) {
  return fmt::format("{}.{}", nanoseconds / 1'000'000'000, nanoseconds / 100'000'000 % 10);
}

// UTC, as in RFC 3339; "-" for zero.
std::string time_text(std::uint64_t unix_seconds) {
  const auto moment = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  char text[32] = {};
  if (unix_seconds == 0 || !gmtime_r(&moment, &parts) ||
      std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
    return "-";
  return text;
}

Json summary_json(const ashlar_v1_Domain& domain) {
  return {{"name", domain.name},
          {"type", word(domain.type)},
          {"domid", domain.domid},
          {"uuid", uuid_text(domain.uuid)},
          {"state", word(domain.state)},
          {"vcpus", domain.vcpus},
          {"memory_mib", domain.memory_kib / kib_per_mib},
          {"max_memory_mib", domain.max_memory_kib / kib_per_mib},
          {"requester", domain.requester},
          {"serial", domain.serial},
          {"started", domain.started_unix},
          {"cpu_time_ns", domain.cpu_time_ns}};
}

void add_digests(Json& object, const ashlar_v1_Digests& digests) {
  object["sha1"] = to_hex(ipc::bytes_of(digests.sha1));
  object["sha256"] = to_hex(ipc::bytes_of(digests.sha256));
  object["sha384"] = to_hex(ipc::bytes_of(digests.sha384));
}

std::string digest_lines(const ashlar_v1_Digests& digests) {
  return fmt::format("    sha1    {}\n    sha256  {}\n    sha384  {}\n",
                     to_hex(ipc::bytes_of(digests.sha1)), to_hex(ipc::bytes_of(digests.sha256)),
                     to_hex(ipc::bytes_of(digests.sha384)));
}

Json image_json(const ashlar_v1_Image& image) {
  Json object = {{"path", image.label}, {"size", image.size}};
  add_digests(object, image.digests);
  return object;
}

std::string image_lines(const std::string& heading, const ashlar_v1_Image& image) {
  return fmt::format("{}: {} ({} bytes)\n", heading, image.label, image.size) +
         digest_lines(image.digests);
}

std::span<const ashlar_v1_Disk> disks_of(const ashlar_v1_Domain& domain) {
  return std::span(domain.disks).first(domain.disks_count);
}

std::span<const ashlar_v1_Nic> nics_of(const ashlar_v1_Domain& domain) {
  return std::span(domain.nics).first(domain.nics_count);
}

std::string device_lines(const ashlar_v1_Domain& domain) {
  std::string text;
  for (const ashlar_v1_Disk& disk : disks_of(domain))
    text += fmt::format("disk {}: {}, {} of {}\n", disk.vdev,
                        disk.writable ? "read-write" : "read-only", disk.target, disk.backend);
  std::size_t number = 0;
  for (const ashlar_v1_Nic& nic : nics_of(domain))
    text += fmt::format("nic {}: {} on {} of {}\n", number++,
                        nic.mac[0] == '\0' ? "no address yet" : nic.mac, nic.bridge, nic.backend);
  return text;
}

void add_devices(Json& object, const ashlar_v1_Domain& domain) {
  object["disks"] = Json::array();
  for (const ashlar_v1_Disk& disk : disks_of(domain))
    object["disks"].push_back({{"vdev", disk.vdev},
                               {"access", disk.writable ? "rw" : "ro"},
                               {"backend", disk.backend},
                               {"target", disk.target}});
  object["nics"] = Json::array();
  for (const ashlar_v1_Nic& nic : nics_of(domain))
    object["nics"].push_back({{"backend", nic.backend}, {"bridge", nic.bridge}, {"mac", nic.mac}});
}

std::string content_of(const ashlar_v1_RecordEvent& event) {
  const auto bytes = ipc::bytes_of(event.content);
  std::string text(bytes.size(), '\0');
  std::ranges::transform(bytes, text.begin(),
                         [](std::byte byte) { return std::to_integer<char>(byte); });
  return text;
}

} // namespace

std::string domains_table(const std::vector<ashlar_v1_Domain>& domains, bool with_all) {
  std::vector<Column> columns = {{"NAME"},         {"DOMID", true},    {"TYPE"},
                                 {"VCPUS", true},  {"MEM(MiB)", true}, {"STATE"},
                                 {"TIME(s)", true}};
  if (with_all)
    columns.insert(columns.end(), {{"UUID"}, {"REQUESTER"}, {"SERIAL", true}, {"STARTED"}});
  std::vector<std::vector<std::string>> rows;
  for (const ashlar_v1_Domain& domain : domains) {
    rows.push_back({domain.name, std::to_string(domain.domid), word(domain.type),
                    std::to_string(domain.vcpus), std::to_string(domain.memory_kib / kib_per_mib),
                    word(domain.state), seconds(domain.cpu_time_ns)});
    if (with_all)
      rows.back().insert(rows.back().end(),
                         {uuid_text(domain.uuid), domain.requester, std::to_string(domain.serial),
                          time_text(domain.started_unix)});
  }
  return table(columns, rows);
}

Json domains_json(const std::vector<ashlar_v1_Domain>& domains) {
  Json list = Json::array();
  for (const ashlar_v1_Domain& domain : domains)
    list.push_back(summary_json(domain));
  return list;
}

std::string domain_text(const ashlar_v1_Domain& domain) {
  std::string text = fmt::format(
      "name: {}\ndomid: {}\ntype: {}\nuuid: {}\nstate: {}\nvcpus: {}\nmemory: {} MiB\n"
      "max memory: {} MiB\nrequester: {}\nserial: {}\nstarted: {}\nCPU time: {} s\n"
      "on power-off: {}\non reboot: {}\non crash: {}\nvTPM: {}\nrule: {}\npolicy: {}\ncommand "
      "line: {}\n",
      domain.name, domain.domid, word(domain.type), uuid_text(domain.uuid), word(domain.state),
      domain.vcpus, domain.memory_kib / kib_per_mib, domain.max_memory_kib / kib_per_mib,
      domain.requester, domain.serial, time_text(domain.started_unix), seconds(domain.cpu_time_ns),
      word(domain.on_poweroff), word(domain.on_reboot), word(domain.on_crash), vtpm_text(domain),
      domain.rule, domain.policy_digest, domain.command_line);
  if (domain.xsm_label[0] != '\0')
    text += fmt::format("XSM label: {}\n", domain.xsm_label);
  text += device_lines(domain);
  text += image_lines("kernel", domain.kernel);
  for (const ashlar_v1_Image& initrd : std::span(domain.initrds, domain.initrds_count))
    text += image_lines("initrd", initrd);
  return text;
}

Json domain_json(const ashlar_v1_Domain& domain) {
  Json object = summary_json(domain);
  object["cmdline"] = domain.command_line;
  object["kernel"] = image_json(domain.kernel);
  object["initrds"] = Json::array();
  for (const ashlar_v1_Image& initrd : std::span(domain.initrds, domain.initrds_count))
    object["initrds"].push_back(image_json(initrd));
  object["rule"] = domain.rule;
  object["policy_digest"] = domain.policy_digest;
  object["on_poweroff"] = word(domain.on_poweroff);
  object["on_reboot"] = word(domain.on_reboot);
  object["on_crash"] = word(domain.on_crash);
  object["vtpm"] = {{"version", word(domain.vtpm)},
                    {"profile", domain.vtpm_profile},
                    {"domid", domain.vtpm_domid}};
  object["xsm_label"] = domain.xsm_label;
  add_devices(object, domain);
  return object;
}

std::string record_text(const RecordParts& record) {
  const ashlar_v1_RecordHead& head = record.head;
  std::string text = fmt::format("record {}: {} (domid {}, uuid {}), built for {}\n", head.serial,
                                 head.name, head.domid, uuid_text(head.uuid), head.requester);
  std::size_t number = 0;
  for (const ashlar_v1_RecordEvent& event : record.events) {
    ++number;
    text += fmt::format("{:>2}  {}  {} bytes  {}\n", number, event.type, event.size, event.label);
    if (event.content.size > 0)
      text += fmt::format("    content {}\n", printable(content_of(event), shown_content_bytes));
    text += digest_lines(event.digests);
  }
  return text;
}

Json record_json(const RecordParts& record) {
  Json events = Json::array();
  for (const ashlar_v1_RecordEvent& event : record.events) {
    Json object = {{"type", event.type},
                   {"label", event.label},
                   {"size", event.size},
                   {"content", content_of(event)}};
    add_digests(object, event.digests);
    events.push_back(object);
  }
  return {{"serial", record.head.serial},        {"domid", record.head.domid},
          {"uuid", uuid_text(record.head.uuid)}, {"name", record.head.name},
          {"requester", record.head.requester},  {"events", events}};
}

std::string images_table(const std::vector<ashlar_v1_Image>& images) {
  std::vector<std::vector<std::string>> rows;
  for (const ashlar_v1_Image& image : images)
    rows.push_back({to_hex(ipc::bytes_of(image.digests.sha256)), std::to_string(image.size),
                    std::to_string(image.users), image.label});
  return table({{"SHA256"}, {"BYTES", true}, {"USERS", true}, {"LABEL"}}, rows);
}

Json images_json(const std::vector<ashlar_v1_Image>& images) {
  Json list = Json::array();
  for (const ashlar_v1_Image& image : images) {
    Json object = image_json(image);
    object["users"] = image.users;
    list.push_back(object);
  }
  return list;
}

std::string policy_text(const std::vector<PolicyFile>& files, const ashlar_v1_PolicyState& state) {
  std::string text = fmt::format("# policy {}\n", state.digest);
  if (state.load_error[0] != '\0')
    text += fmt::format("# the newest files are not in force: {}\n", state.load_error);
  for (const PolicyFile& file : files)
    text +=
        fmt::format("# file {}\n{}{}", file.name, file.text, file.text.ends_with('\n') ? "" : "\n");
  return text;
}

Json policy_json(const std::vector<PolicyFile>& files, const ashlar_v1_PolicyState& state) {
  Json list = Json::array();
  for (const PolicyFile& file : files)
    list.push_back({{"file", file.name}, {"text", file.text}});
  return {{"digest", state.digest}, {"load_error", state.load_error}, {"files", list}};
}

std::string host_text(const ashlar_v1_HostState& state) {
  return fmt::format("PCR {} sha256: {}\nrecords since boot: {}\n", state.pcr,
                     to_hex(ipc::bytes_of(state.sha256)), state.log_events);
}

Json host_json(const ashlar_v1_HostState& state) {
  return {{"pcr", state.pcr},
          {"sha256", to_hex(ipc::bytes_of(state.sha256))},
          {"log_events", state.log_events}};
}

std::string version_text(const ashlar_v1_Welcome& welcome) {
  return fmt::format("client: ashlar {}\nbuilder: {}\nprotocol: {}\ntransport: {}\ndomid: {}\n"
                     "requester: {}\n",
                     ASHLAR_VERSION, welcome.builder, welcome.version, welcome.transport,
                     welcome.domid, welcome.requester);
}

Json version_json(const ashlar_v1_Welcome& welcome) {
  return {{"client", std::string("ashlar ") + ASHLAR_VERSION},
          {"builder", welcome.builder},
          {"protocol", welcome.version},
          {"transport", welcome.transport},
          {"domid", welcome.domid},
          {"requester", welcome.requester}};
}

std::string json_text(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace);
}

} // namespace ashlar::cli
