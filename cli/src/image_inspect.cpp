// SPDX-License-Identifier: LGPL-2.1-or-later
// `ashlar image inspect`.
#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/cli/inspector_process.hpp"
#include "ashlar/inspector/limits.hpp"

namespace ashlar::cli {

namespace {

/// The image's signatures, or why it can have none.
using Signatures = Result<signature::ImageSignatures>;

std::string text_of(const Signatures& signatures) {
  if (!signatures)
    return fmt::format("signatures: none ({})\n", signatures.error().why);
  std::string text = fmt::format("authenticode sha256: {}\n", to_hex(signatures->digest));
  if (signatures->found.empty())
    text += "signatures: none\n";
  for (const signature::FoundSignature& found : signatures->found)
    text += fmt::format("signature: {}\n",
                        found.valid
                            ? fmt::format("by \"{}\", issued by \"{}\", certificate {}",
                                          found.subject, found.issuer, to_hex(found.fingerprint))
                            : "not valid: " + found.why);
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
                    {"certificate", to_hex(found.fingerprint)}});
  return list;
}

std::string text_of(const ImageFile& image, const inspector::Description& description) {
  std::string boots = description.pv ? "pv" : "";
  if (description.pvh)
    boots += boots.empty() ? "pvh" : ", pvh";
  std::string text =
      fmt::format("file: {}\nsize: {}\nformat: {}\ncompression: {}\nplain size: {}\nboots as: {}\n"
                  "load size: {}\nguest os: {}\n",
                  printable(image.path), image.size, inspector::to_string(description.format),
                  inspector::to_string(description.compression), description.plain_bytes, boots,
                  description.load_bytes, description.guest_os);
  for (const measure::Bank bank : measure::all_banks)
    text += fmt::format("{}: {}\n", measure::to_string(bank), to_hex(image.digests.of(bank)));
  return text;
}

nlohmann::ordered_json json_of(const ImageFile& image, const inspector::Description& description) {
  nlohmann::ordered_json json = {{"path", image.path},
                                 {"size", image.size},
                                 {"format", inspector::to_string(description.format)},
                                 {"compression", inspector::to_string(description.compression)},
                                 {"plain_size", description.plain_bytes},
                                 {"pv", description.pv},
                                 {"pvh", description.pvh},
                                 {"load_size", description.load_bytes},
                                 {"guest_os", description.guest_os}};
  for (const measure::Bank bank : measure::all_banks)
    json[measure::to_string(bank)] = to_hex(image.digests.of(bank));
  return json;
}

} // namespace

Outcome<Answer> image_inspect(const Arguments& arguments) {
  const std::string program = TRY(find_inspector());
  const ImageFile image = TRY(sealed_copy(arguments.image_file, inspector::max_image_bytes));
  const inspector::Description description = TRY(run_inspector(program, image));
  const Signatures signatures = run_verifier(TRY(find_verifier()), image, {});
  if (!arguments.json)
    return Answer(text_of(image, description) + text_of(signatures));
  nlohmann::ordered_json json = json_of(image, description);
  json["authenticode_sha256"] = signatures ? to_hex(signatures->digest) : "";
  json["signatures"] = json_of(signatures);
  return Answer(json_text(json) + "\n");
}

} // namespace ashlar::cli
