// SPDX-License-Identifier: LGPL-2.1-or-later
// `ashlar image inspect`.
#include <optional>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/cli/inspector_process.hpp"
#include "ashlar/cli/signature_file.hpp"
#include "ashlar/inspector/limits.hpp"

namespace ashlar::cli {

namespace {

/// The image's signatures inside, or why it can have none.
using Signatures = Result<signature::ImageSignatures>;
/// The one that was given with --signature.
using Detached = Result<signature::DetachedSignature>;

/// Of one signature, inside or detached: both say who the signer is in the same words.
template <typename Signature>
std::string by_whom(const Signature& signature) {
  return fmt::format("by \"{}\", issued by \"{}\", certificate {}, public key {}",
                     signature.subject, signature.issuer, to_hex(signature.fingerprint),
                     to_hex(signature.public_key));
}

std::string text_of(const Detached& detached) {
  return fmt::format("detached signature: {}\n",
                     detached ? by_whom(*detached) : "not valid: " + detached.error().why);
}

nlohmann::ordered_json json_of(const Detached& detached) {
  const signature::DetachedSignature signer = detached.value_or(signature::DetachedSignature{});
  return {{"valid", detached.has_value()},
          {"why", detached ? "" : detached.error().why},
          {"subject", signer.subject},
          {"issuer", signer.issuer},
          {"certificate", detached ? to_hex(signer.fingerprint) : ""},
          {"public_key", detached ? to_hex(signer.public_key) : ""}};
}

std::string text_of(const Signatures& signatures) {
  if (!signatures)
    return fmt::format("signatures: none ({})\n", signatures.error().why);
  std::string text = fmt::format("authenticode sha256: {}\n", to_hex(signatures->digest));
  if (signatures->found.empty())
    text += "signatures: none\n";
  for (const signature::FoundSignature& found : signatures->found)
    text +=
        fmt::format("signature: {}\n", found.valid ? by_whom(found) : "not valid: " + found.why);
  return text;
}

nlohmann::ordered_json json_of(const Signatures& signatures) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  if (!signatures)
    return list;
  for (const signature::FoundSignature& found : signatures->found)
    list.push_back({{"valid", found.valid},
                    {"why", found.why},
                    {"subject", found.subject},
                    {"issuer", found.issuer},
                    {"certificate", to_hex(found.fingerprint)},
                    {"public_key", to_hex(found.public_key)}});
  return list;
}

std::string text_of(const inspector::Description& description) {
  std::string boots = description.pv ? "pv" : "";
  if (description.pvh)
    boots += boots.empty() ? "pvh" : ", pvh";
  return fmt::format("format: {}\ncompression: {}\nplain size: {}\nboots as: {}\nload size: {}\n"
                     "guest os: {}\n",
                     inspector::to_string(description.format),
                     inspector::to_string(description.compression), description.plain_bytes, boots,
                     description.load_bytes, description.guest_os);
}

nlohmann::ordered_json json_of(const inspector::Description& description) {
  return {{"format", inspector::to_string(description.format)},
          {"compression", inspector::to_string(description.compression)},
          {"plain_size", description.plain_bytes},
          {"pv", description.pv},
          {"pvh", description.pvh},
          {"load_size", description.load_bytes},
          {"guest_os", description.guest_os}};
}

/// All that is found out about one file.
struct Findings {
  ImageFile image;
  Result<inspector::Description> kernel; // or why it is none that a builder starts
  Signatures inside;
  std::optional<Detached> detached;

  [[nodiscard]] bool unified() const { return inside && inside->unified; }
  /// With --signature it is about that: initrds are signed as well.
  [[nodiscard]] bool good() const { return detached ? detached->has_value() : kernel.has_value(); }
};

constexpr std::string_view unified_text =
    "unified kernel image: yes; a builder takes no kernel, initrd or command line out of its "
    "sections: give it these themselves\n";

std::string text_of(const Findings& found) {
  std::string text =
      fmt::format("file: {}\nsize: {}\n", printable(found.image.path), found.image.size);
  text += found.kernel ? text_of(*found.kernel) : "kernel: no: " + found.kernel.error().why + "\n";
  for (const measure::Bank bank : measure::all_banks)
    text += fmt::format("{}: {}\n", measure::to_string(bank), to_hex(found.image.digests.of(bank)));
  if (found.unified())
    text += unified_text;
  text += text_of(found.inside);
  return found.detached ? text + text_of(*found.detached) : text;
}

nlohmann::ordered_json json_of(const Findings& found) {
  nlohmann::ordered_json json = {{"path", found.image.path}, {"size", found.image.size}};
  if (found.kernel)
    json.update(json_of(*found.kernel));
  else
    json["not_a_kernel"] = found.kernel.error().why;
  for (const measure::Bank bank : measure::all_banks)
    json[measure::to_string(bank)] = to_hex(found.image.digests.of(bank));
  json["unified_kernel_image"] = found.unified();
  json["authenticode_sha256"] = found.inside ? to_hex(found.inside->digest) : "";
  json["signatures"] = json_of(found.inside);
  if (found.detached)
    json["detached_signature"] = json_of(*found.detached);
  return json;
}

Outcome<Findings> look_at(const Arguments& arguments) {
  const std::string program = TRY(find_inspector());
  ImageFile image = TRY(sealed_copy(arguments.image_file, inspector::max_image_bytes));
  inspector::SignatureQuestion question; // of no policy: whoever has signed it
  if (!arguments.image_signature.empty()) {
    auto message = TRY(read_signature(arguments.image_signature));
    question.brought.push_back({.sha256 = image.digests.sha256, .message = std::move(message)});
  }
  Result<inspector::Description> kernel = run_inspector(program, image);
  const Result<std::string> verifier = find_verifier();
  if (!verifier) // of two faults the first one is told
    return std::unexpected(Problem(kernel ? verifier.error() : kernel.error()));
  inspector::SignatureReport report = TRY(run_verifier(*verifier, &image, question));
  Findings found{std::move(image), std::move(kernel), std::move(report.inside), {}};
  if (!report.brought.empty())
    found.detached = std::move(report.brought.front());
  return found;
}

} // namespace

Outcome<Answer> image_inspect(const Arguments& arguments) {
  const Findings found = TRY(look_at(arguments));
  // What is neither a kernel nor signed, in or beside it, is refused as a builder would.
  if (!found.kernel && !found.detached && !found.unified()) {
    Error error = found.kernel.error(); // of the inspector, which knows no names
    error.doing = printable(found.image.path) + ": " + error.doing;
    return std::unexpected(Problem(error));
  }
  return Answer(arguments.json ? json_text(json_of(found)) + "\n" : text_of(found),
                found.good() ? ExitCode::ok : ExitCode::failed);
}

} // namespace ashlar::cli
