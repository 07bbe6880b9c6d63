// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/policy/cases.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/record.hpp"
#include "document.hpp"
#include "fields.hpp"
#include "read.hpp"

namespace ashlar::policy {

namespace {

constexpr std::uint64_t max_u32 = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kib_per_mib = 1024;
constexpr std::uint64_t max_case_memory_mib = std::uint64_t{1} << 30; // 1 PiB
constexpr std::uint64_t default_memory_mib = 256;                     // as `ashlar create`
constexpr std::uint64_t max_upload_bytes = std::uint64_t{1} << 40;
constexpr std::array<std::string_view, 2> decision_words = {"allow", "deny"};
constexpr std::array<std::string_view, 2> type_words = {"pv", "pvh"};
constexpr std::array<std::string_view, 3> vtpm_words = {"none", "1.2", "2.0"};
constexpr std::array<std::string_view, 5> peer_keys = {"as", "domain", "uuid", "uid", "boot"};

/// Reads the keys of one [[case]].
class CaseReader {
public:
  CaseReader(Fields fields, const Policy& policy) : fields_(std::move(fields)), policy_(policy) {}

  [[nodiscard]] Case read() {
    Case one;
    one.where = fields_.where();
    if (const auto title = fields_.text("title"))
      one.title = title->text;
    one.request.peer = peer();
    one.request.verb = verb();
    // The keys of another verb stay unknown: what a case says must make a difference.
    if (one.request.verb == Verb::create)
      one.request.guest = guest();
    else if (one.request.verb == Verb::upload)
      one.request.upload = upload();
    else
      one.request.owner = owner();
    read_expectation(one);
    fields_.report_unknown();
    return one;
  }

private:
  Peer peer() {
    std::vector<std::string_view> present;
    std::ranges::copy_if(peer_keys, std::back_inserter(present),
                         [this](std::string_view key) { return fields_.entry(key) != nullptr; });
    if (present.size() != 1) {
      fields_.error(fields_.where(), fmt::format("[[case]] has {} of as, domain, uuid, uid, boot: "
                                                 "write one of them to say who asks",
                                                 present.size()));
      return {};
    }
    if (present.front() == "as")
      return declared_peer();
    if (present.front() == "domain")
      return domain_peer();
    if (present.front() == "uuid")
      return uuid_peer();
    if (present.front() == "uid")
      return process_peer();
    if (const auto boot = fields_.boolean("boot"); boot && !*boot)
      fields_.error(fields_.where(), "\"boot\" in [[case]] is false: write true, or who asks");
    return BootManifestPeer{};
  }

  Peer declared_peer() {
    const auto name = fields_.text("as");
    const auto declared = name ? policy_.peer_of(name->text) : std::nullopt;
    if (name && !declared)
      fields_.error(name->where, fmt::format("the policy has no requester \"{}\": correct the "
                                             "name, or say who asks with domain, uuid or uid",
                                             name->text));
    return declared.value_or(Peer{});
  }

  Peer domain_peer() {
    const auto name = fields_.text("domain");
    return DomainPeer{name ? name->text : std::string(), "00000000-0000-0000-0000-000000000001"};
  }

  Peer uuid_peer() {
    const auto text = fields_.text("uuid");
    if (!text)
      return DomainPeer{};
    const auto uuid = measure::uuid_from_text(text->text);
    if (!uuid) {
      fields_.error(text->where, uuid.error().message());
      return DomainPeer{};
    }
    return DomainPeer{{}, measure::to_string(*uuid)};
  }

  Peer process_peer() {
    const std::uint64_t uid = fields_.number("uid", 0, max_u32).value_or(0);
    const std::uint64_t gid = fields_.number("gid", 0, max_u32).value_or(uid);
    return ProcessPeer{static_cast<std::uint32_t>(uid), static_cast<std::uint32_t>(gid)};
  }

  Verb verb() {
    std::array<std::string_view, verb_count> words{};
    std::ranges::transform(all_verbs, words.begin(), [](Verb verb) { return to_string(verb); });
    if (fields_.entry("verb") == nullptr)
      fields_.missing("verb", "write what is asked for");
    const auto word = fields_.word("verb", words);
    if (!word)
      return Verb::list;
    return all_verbs[static_cast<std::size_t>(std::ranges::find(words, word->text) -
                                              words.begin())];
  }

  /// A declared image's first digest; 64 hexadecimal digits; or two of them, for a digest whose
  /// bytes all have that value: one that no file has.
  measure::Sha256 digest(const Word& word) {
    if (const auto declared = policy_.image_digest(word.text))
      return *declared;
    measure::Sha256 result{};
    if (!policy_.image_signers(word.text).empty())
      return result; // known by its signature: any digest will do
    if (const auto written = written_digest(word))
      return *written;
    fields_.error(word.where,
                  fmt::format("\"{}\" is neither an image of the policy nor a digest: write a "
                              "declared name, 64 hexadecimal digits, or 2 for a made-up digest",
                              word.text));
    return result;
  }

  static std::optional<measure::Sha256> written_digest(const Word& word) {
    measure::Sha256 result{};
    const auto bytes = from_hex(word.text);
    if (bytes && bytes->size() == 1)
      result.fill(bytes->front());
    else if (bytes && bytes->size() == result.size())
      std::ranges::copy(*bytes, result.begin());
    else
      return std::nullopt;
    return result;
  }

  std::optional<measure::Sha256> kernel_authenticode() {
    const auto word = fields_.text("authenticode_sha256");
    if (!word)
      return std::nullopt;
    const auto written = written_digest(*word);
    if (!written)
      fields_.error(word->where, fmt::format("\"{}\" is not a digest: write 64 hexadecimal digits, "
                                             "or 2 for a made-up digest",
                                             word->text));
    return written;
  }

  /// An image that is known by its signer counts as signed by the first that may have.
  ImageFacts image(const std::optional<Word>& word, std::string label) {
    ImageFacts facts{.label = std::move(label),
                     .size = 1,
                     .digests = {},
                     .claimed = true,
                     .signers = {},
                     .all_signers_known = true,
                     .looked_inside = true,
                     .authenticode = {}};
    if (!word)
      return facts;
    facts.digests.sha256 = digest(*word);
    if (const auto may = policy_.image_signers(word->text); !may.empty())
      facts.signers.push_back(may.front());
    return facts;
  }

  /// Any bytes at all: a guest's command line is not bound to what a policy file may hold.
  std::string command_line() {
    const Entry* line = fields_.entry("command_line");
    if (line == nullptr)
      return {};
    if (line->value.kind != Node::Kind::text || line->value.text.size() > max_word_bytes)
      fields_.error(line->where,
                    fmt::format("\"command_line\" in [[case]] must be a string of at most {} bytes",
                                max_word_bytes));
    return line->value.text;
  }

  GuestFacts guest() {
    GuestFacts facts;
    measure::DomainConfiguration& configuration = facts.configuration;
    if (const auto name = fields_.text("name"))
      configuration.name = name->text;
    if (const auto type = fields_.word("type", type_words); type && type->text == "pv")
      configuration.type = measure::GuestType::pv;
    configuration.vcpus =
        static_cast<std::uint32_t>(fields_.number("vcpus", 1, max_u32).value_or(1));
    const std::uint64_t memory_mib =
        fields_.number("memory_mib", 1, max_case_memory_mib).value_or(default_memory_mib);
    configuration.memory_kib = memory_mib * kib_per_mib;
    configuration.max_memory_kib =
        fields_.number("max_memory_mib", memory_mib, max_case_memory_mib).value_or(memory_mib) *
        kib_per_mib;
    if (const auto vtpm = fields_.word("vtpm", vtpm_words))
      configuration.vtpm = *measure::vtpm_from_text(vtpm->text);
    if (const auto label = fields_.text("xsm_label"))
      configuration.xsm_label = label->text;
    read_devices(configuration);
    facts.command_line = command_line();
    const auto kernel = fields_.text("kernel");
    facts.kernel = image(kernel, "kernel");
    if (auto signers = kernel_signers())
      facts.kernel.signers = std::move(*signers);
    facts.kernel.authenticode = kernel_authenticode();
    for (const Word& initrd : fields_.texts("initrds").value_or(std::vector<Word>()))
      facts.initrds.push_back(image(initrd, "initrd"));
    return facts;
  }

  /// The devices under `key`, in the words of a measured configuration.
  template <typename Device>
  std::vector<Device> devices(std::string_view key, std::string_view example,
                              Result<Device> (*from_text)(std::string_view)) {
    std::vector<Device> all;
    const Entry* found = fields_.entry(key);
    if (found == nullptr)
      return all;
    if (found->value.kind != Node::Kind::list)
      fields_.error(found->where, fmt::format("\"{}\" in [[case]] is {}: write an array", key,
                                              to_string(found->value.kind)));
    // Two interfaces may be alike, so this is no list of words.
    for (const Node& item : found->value.items) {
      auto device = from_text(item.text);
      if (device)
        all.push_back(std::move(*device));
      else
        fields_.error(item.where, fmt::format("{}; write one such as \"{}\"",
                                              device.error().message(), example));
    }
    return all;
  }

  void read_devices(measure::DomainConfiguration& configuration) {
    configuration.disks = devices("disks", "xvda,access=ro,backend=storage,target=/dev/vg0/web",
                                  measure::disk_from_text);
    configuration.nics =
        devices("nics", "backend=net,bridge=xenbr0,mac=auto", measure::nic_from_text);
    check_together("disks", measure::validate(configuration.disks, {}));
    check_together("nics", measure::validate({}, configuration.nics));
  }

  void check_together(std::string_view key, const Status& valid) {
    if (!valid)
      fields_.error(fields_.entry(key)->where, valid.error().message());
  }

  std::optional<std::vector<std::string>> kernel_signers() {
    const auto written = fields_.texts("signers");
    if (!written)
      return std::nullopt;
    std::vector<std::string> names;
    const auto declared = policy_.declared().certificates;
    for (const Word& word : *written) {
      if (std::ranges::find(declared, word.text) == declared.end())
        fields_.error(word.where, fmt::format("the policy has no certificate \"{}\": correct the "
                                              "name",
                                              word.text));
      names.push_back(word.text);
    }
    return names;
  }

  UploadFacts upload() {
    UploadFacts facts{.size = fields_.number("size", 1, max_upload_bytes).value_or(1),
                      .sha256 = {}};
    if (const auto word = fields_.text("image"))
      facts.sha256 = digest(*word);
    else
      fields_.missing("image", "write the image that is uploaded");
    return facts;
  }

  std::optional<std::string> owner() {
    const auto name = fields_.text("owner");
    if (name && !policy_.peer_of(name->text))
      fields_.error(name->where, fmt::format("the policy has no requester \"{}\": correct the "
                                             "owner's name",
                                             name->text));
    return name ? std::optional(name->text) : std::nullopt;
  }

  void read_expectation(Case& one) {
    const auto expected = fields_.word("expect", decision_words);
    one.allowed = expected && expected->text == "allow";
    if (fields_.entry("expect") == nullptr)
      fields_.missing("expect", "write \"allow\" or \"deny\"");
    if (const auto rule = fields_.text("rule"))
      one.rule = rule->text;
    // Without a rule nothing is allowed: such a case could never pass.
    if (one.allowed && fields_.entry("rule") == nullptr)
      fields_.missing("rule", "name the rule that is to allow it");
    if (const auto reason = fields_.text("reason"))
      one.reason = reason->text;
  }

  Fields fields_;
  const Policy& policy_;
};

std::string verdict(bool allowed, const std::string& rule) {
  const char* const word = allowed ? "allowed" : "denied";
  return rule.empty() ? fmt::format("{} (no rule matches)", word)
                      : fmt::format("{} by rule \"{}\"", word, rule);
}

} // namespace

Cases read_cases(const PolicyFile& file, const Policy& policy) {
  Cases result;
  const auto document = parse_document(file);
  if (!document) {
    result.findings.push_back(document.error());
    return result;
  }
  Fields top(*document, "a cases file", result.findings);
  bool any = false;
  read_tables(top, "case", result.findings, [&](const Fields& fields) {
    any = true;
    const std::size_t before = result.findings.size();
    Case one = CaseReader(fields, policy).read();
    if (result.findings.size() == before)
      result.cases.push_back(std::move(one));
  });
  top.report_unknown();
  if (!any && result.findings.empty())
    add_error(result.findings, {.file = file.name, .line = 0, .column = 0},
              "the file has no [[case]]: write at least one, or delete the file");
  return result;
}

std::vector<std::string> differences(const Case& expected, const Decision& decision) {
  std::vector<std::string> found;
  if (decision.allowed != expected.allowed || decision.rule != expected.rule)
    found.push_back(fmt::format("expected {}, but it is {}: {}",
                                verdict(expected.allowed, expected.rule),
                                verdict(decision.allowed, decision.rule), decision.reason));
  else if (expected.reason && decision.reason != *expected.reason)
    found.push_back(
        fmt::format("expected the reason '{}', but it is '{}'", *expected.reason, decision.reason));
  return found;
}

} // namespace ashlar::policy
