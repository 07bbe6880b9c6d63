// SPDX-License-Identifier: LGPL-2.1-or-later
// `ashlar policy sign`.
#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/mapping.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/format.hpp"
#include "ashlar/cli/image_file.hpp"
#include "ashlar/policy/manifest.hpp"
#include "ashlar/policy/policy.hpp"
#include "ashlar/signature/sign.hpp"

namespace ashlar::cli {

namespace {

constexpr std::uint64_t max_key_bytes = 64u << 10;

struct Keys {
  signature::PemFile key;
  signature::PemFile certificate;
};

Result<Keys> read_keys(const Signing& signing) {
  std::string key = TRY(read_file(signing.key, max_key_bytes));
  std::string certificate = TRY(read_file(signing.certificate, max_key_bytes));
  return Keys{{std::move(key), signing.key}, {std::move(certificate), signing.certificate}};
}

/// A manifest that a builder would refuse is not signed.
Result<std::string> sign_manifest(const Signing& signing) {
  const Keys keys = TRY(read_keys(signing));
  const std::string text = TRY(read_file(signing.file, policy::max_policy_file_bytes));
  if (text.contains('\0'))
    return failure(ErrorCode::invalid, "reading the manifest " + signing.file,
                   "it is no text: sign an image with --detached");
  TRY(policy::read_manifest_text(text, signing.file));
  return signature::sign(as_bytes(text), signature::Form::with_content, keys.key, keys.certificate);
}

Result<std::string> sign_image(const Signing& signing) {
  const Keys keys = TRY(read_keys(signing));
  const ImageFile image = TRY(open_image(signing.file, Hashing::all_banks));
  const Mapping mapping = TRY(Mapping::of(image.fd.value(), "the image " + signing.file));
  return signature::sign(mapping.bytes(), signature::Form::detached, keys.key, keys.certificate);
}

} // namespace

Outcome<Answer> policy_sign(const Arguments& arguments) {
  const Signing& signing = arguments.signing;
  const std::string pem = TRY(signing.detached ? sign_image(signing) : sign_manifest(signing));
  if (arguments.json)
    return Answer(json_text({{"pem", pem}}) + "\n");
  if (signing.toml)
    return Answer(fmt::format("[[manifest]]\npem = '''\n{}'''\n", pem));
  return Answer(pem);
}

} // namespace ashlar::cli
