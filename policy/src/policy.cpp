// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/policy/policy.hpp"

#include <algorithm>
#include <ctime>
#include <tuple>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"
#include "check.hpp"
#include "decide.hpp"
#include "document.hpp"
#include "model.hpp"
#include "read.hpp"
#include "resolve.hpp"

namespace ashlar::policy {

namespace {

/// Also the text over which docs/policy.md lets a reader recompute the digest.
Result<std::string> digest_of(const std::vector<PolicyFile>& files) {
  auto stream = TRY(measure::DigestStream::create());
  for (const PolicyFile& file : files) {
    WireWriter head;
    head.text(file.name);
    head.u64(file.text.size());
    TRY(stream.update(head.bytes()));
    TRY(stream.update(as_bytes(file.text)));
  }
  return to_hex(TRY(stream.finish()).sha256);
}

/// Limits on the set of files. False: too much to go on.
bool check_files(const std::vector<PolicyFile>& files, Findings& findings) {
  if (files.empty())
    add_error(
        findings, {},
        "no *.toml files in the policy directory: nothing would be allowed; write at least one");
  if (files.size() > max_policy_files)
    add_error(findings, {},
              fmt::format("{} policy files, above the limit of {}: join some of them", files.size(),
                          max_policy_files));
  for (const PolicyFile& file : files)
    if (file.text.size() > max_policy_file_bytes)
      add_error(findings, {.file = file.name, .line = 0, .column = 0},
                fmt::format("the file has {} bytes, above the limit of {}: split it",
                            file.text.size(), max_policy_file_bytes));
  return findings.empty();
}

bool any_error(const Findings& findings) {
  return std::ranges::any_of(findings, [](const Finding& finding) {
    return finding.severity == Finding::Severity::error;
  });
}

/// Into the order in which a person meets them: file by file, from top to bottom.
void sort_findings(const std::vector<PolicyFile>& files, Findings& findings) {
  const auto place = [&](const Finding& finding) {
    const auto file = std::ranges::find(files, finding.where.file, &PolicyFile::name);
    return std::tuple(file - files.begin(), finding.where.line, finding.where.column);
  };
  std::ranges::stable_sort(findings, {}, place);
}

Model read_files(const std::vector<PolicyFile>& files, Findings& findings) {
  Model model;
  for (const PolicyFile& file : files) {
    const auto document = parse_document(file);
    if (document)
      read_document(*document, model, findings);
    else
      findings.push_back(document.error());
  }
  return model;
}

void check_model(const std::vector<PolicyFile>& files, Model& model, std::int64_t now,
                 Findings& findings) {
  // After a table that could not be read, every reference to it would look wrong as well.
  if (any_error(findings))
    return;
  if (model.rules.empty())
    add_error(findings, {.file = files.front().name, .line = 0, .column = 0},
              "the policy has no [[rule]]: nothing would be allowed; write at least one");
  check_references(model, findings);
  if (any_error(findings))
    return;
  resolve_signatures(model, findings);
  lint_signatures(model, now, findings);
  lint(model, findings);
}

} // namespace

struct Policy::Impl {
  Model model;
  std::string digest;
  std::vector<PolicyFile> files;
};

Policy::Policy(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Policy::Policy(Policy&&) noexcept = default;
Policy& Policy::operator=(Policy&&) noexcept = default;
Policy::~Policy() = default;

Policy::Load Policy::load(const std::vector<PolicyFile>& files, std::optional<std::int64_t> now) {
  Load load;
  if (!check_files(files, load.findings))
    return load;
  auto impl = std::make_unique<Impl>();
  impl->model = read_files(files, load.findings);
  check_model(files, impl->model, now.value_or(std::time(nullptr)), load.findings);
  auto digest = digest_of(files);
  if (!digest)
    add_error(load.findings, {}, digest.error().message());
  sort_findings(files, load.findings);
  if (any_error(load.findings))
    return load;
  impl->digest = std::move(*digest);
  impl->files = files;
  load.policy = Policy(std::move(impl));
  return load;
}

Decision Policy::decide(const Request& request) const {
  return policy::decide(impl_->model, request);
}

bool Policy::approves_kernel(const Peer& peer, const measure::Sha256& sha256) const {
  return policy::approves_kernel(impl_->model, peer, sha256);
}

std::optional<std::string> Policy::requester_name(const Peer& peer) const {
  const Requester* requester = impl_->model.requester_of(peer);
  return requester == nullptr ? std::nullopt : std::optional(requester->name);
}

bool Policy::may_see(std::string_view requester, std::string_view owner) const {
  return policy::may_see(impl_->model, requester, owner);
}

Quota Policy::quota(std::string_view requester) const {
  const Requester* found = impl_->model.requester(requester);
  return found == nullptr ? Quota{} : found->quota;
}

Declared Policy::declared() const {
  Declared names;
  std::ranges::transform(impl_->model.images, std::back_inserter(names.images), &Image::name);
  std::ranges::transform(impl_->model.certificates, std::back_inserter(names.certificates),
                         &Certificate::name);
  std::ranges::transform(impl_->model.requesters, std::back_inserter(names.requesters),
                         &Requester::name);
  std::ranges::transform(impl_->model.rules, std::back_inserter(names.rules), &Rule::name);
  return names;
}

std::optional<Peer> Policy::peer_of(std::string_view requester) const {
  const Requester* found = impl_->model.requester(requester);
  return found == nullptr ? std::nullopt : std::optional(impl_->model.peer_of(*found));
}

std::optional<measure::Sha256> Policy::image_digest(std::string_view image) const {
  const Image* found = impl_->model.image(image);
  return found == nullptr || found->sha256.empty() ? std::nullopt
                                                   : std::optional(found->sha256.front());
}

std::vector<std::string> Policy::image_signers(std::string_view image) const {
  std::vector<std::string> names;
  if (const Image* found = impl_->model.image(image); found != nullptr && found->known_by_signer())
    std::ranges::transform(found->signed_by, std::back_inserter(names), &Word::text);
  return names;
}

std::vector<Policy::ReleaseState> Policy::releases() const {
  std::vector<ReleaseState> states;
  for (const Release& release : impl_->model.releases)
    states.push_back({release.name, release.sequence});
  return states;
}

Signers Policy::signers() const {
  Signers signers;
  std::vector<Word> words;
  for (const Certificate& certificate : impl_->model.certificates) {
    signers.names.push_back(certificate.name);
    words.push_back({certificate.name, certificate.where});
  }
  signers.anchors = impl_->model.anchors(words);
  return signers;
}

std::vector<std::string> Signers::trusting(const std::vector<signature::Trust>& trust) const {
  std::vector<std::string> trusting;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (trust.at(i) == signature::Trust::trusted)
      trusting.push_back(names[i]);
  return trusting;
}

const std::string& Policy::digest() const {
  return impl_->digest;
}
const std::vector<PolicyFile>& Policy::files() const {
  return impl_->files;
}

std::string Location::text() const {
  if (line == 0)
    return file;
  return fmt::format("{}:{}:{}", file, line, column);
}

std::string Finding::text() const {
  const std::string place = where.text();
  return fmt::format("{}{}{}: {}", place, place.empty() ? "" : ": ",
                     severity == Severity::error ? "error" : "warning", message);
}

} // namespace ashlar::policy
