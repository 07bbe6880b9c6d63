// SPDX-License-Identifier: LGPL-2.1-or-later
#include "resolve.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/policy/manifest.hpp"
#include "ashlar/signature/cms.hpp"
#include "ashlar/signature/limits.hpp"

namespace ashlar::policy {

namespace {

/// Are revoked certificates left out?
enum class Revocation { counts, ignored };

signature::Anchors anchors_of(const Model& model, const std::vector<Word>& names,
                              Revocation revocation) {
  signature::Anchors anchors = model.anchors(names);
  if (revocation == Revocation::ignored) {
    anchors.revoked.clear();
    anchors.revoked_keys.clear();
  }
  return anchors;
}

/// A manifest whose signature is right for the release that it names.
Result<ReleaseManifest> verified(const Model& model, const Manifest& manifest,
                                 Revocation revocation) {
  const auto message = TRY(signature::message_from_pem(manifest.pem, "the manifest"));
  // Tried with each release: its own name is believed only once a signature vouches for it.
  Result<ReleaseManifest> last =
      failure(ErrorCode::not_found, "reading the manifest",
              "there is no [[release]]: declare the one that it is for, or delete it");
  for (const Release& release : model.releases) {
    const auto content =
        signature::signed_content(message, anchors_of(model, release.signed_by, revocation),
                                  fmt::format("the manifest for release \"{}\"", release.name));
    if (!content) {
      last = std::unexpected(content.error());
      continue;
    }
    ReleaseManifest read = TRY(read_manifest_text(*content));
    if (read.release == release.name)
      return read;
    last = failure(ErrorCode::not_found, "reading the manifest",
                   fmt::format("it is for release \"{}\", which its signer may not sign, or which "
                               "is not declared",
                               read.release));
  }
  return last;
}

void take(Release& release, ReleaseManifest read, const Manifest& manifest, Findings& findings) {
  if (read.sequence < release.min_sequence)
    return add_error(findings, manifest.where,
                     fmt::format("the manifest for release \"{}\" has sequence {}, below the "
                                 "min_sequence {} at {}: it is an old one; get the current one",
                                 release.name, read.sequence, release.min_sequence,
                                 release.where.text()));
  if (read.sequence == release.sequence)
    return add_error(
        findings, manifest.where,
        fmt::format("release \"{}\" has a second manifest with sequence {}: delete one",
                    release.name, read.sequence));
  if (release.sequence != 0)
    add_warning(findings, manifest.where,
                fmt::format("release \"{}\" has manifests with the sequences {} and {}: only the "
                            "higher counts; delete the other",
                            release.name, std::min(read.sequence, release.sequence),
                            std::max(read.sequence, release.sequence)));
  if (read.sequence < release.sequence)
    return;
  release.sequence = read.sequence;
  release.kernels = std::move(read.kernels);
  release.initrds = std::move(read.initrds);
}

/// What fails for a revoked certificate alone approves nothing and is no error: a policy that takes
/// a certificate back must load.
void refuse(Findings& findings, const Location& where, const Error& error, bool only_revoked) {
  if (only_revoked)
    add_warning(findings, where, error.message() + "; it approves nothing: delete it");
  else
    add_error(findings, where, error.message());
}

void resolve_manifest(Model& model, const Manifest& manifest, Findings& findings) {
  Result<ReleaseManifest> read = verified(model, manifest, Revocation::counts);
  if (!read)
    return refuse(findings, manifest.where, read.error(),
                  verified(model, manifest, Revocation::ignored).has_value());
  const auto release = std::ranges::find(model.releases, read->release, &Release::name);
  take(*release, std::move(*read), manifest, findings);
}

Result<measure::Sha256> signed_digest(const Model& model, const Image& image, const Word& signature,
                                      Revocation revocation) {
  const std::string what = fmt::format("a signature of image \"{}\"", image.name);
  const auto message = TRY(signature::message_from_pem(signature.text, what));
  return signature::signed_digest(message, anchors_of(model, image.signed_by, revocation), what);
}

void resolve_image(const Model& model, Image& image, Findings& findings) {
  for (const Word& signature : image.signatures) {
    const auto digest = signed_digest(model, image, signature, Revocation::counts);
    if (digest)
      image.sha256.push_back(*digest);
    else
      refuse(findings, signature.where, digest.error(),
             signed_digest(model, image, signature, Revocation::ignored).has_value());
  }
  if (!image.release)
    return;
  const Release* release = model.release(image.release->text);
  image.sha256 = image.kind == ImageKind::kernel ? release->kernels : release->initrds;
}

bool uses(const std::vector<Word>& names, const std::string& name) {
  return std::ranges::find(names, name, &Word::text) != names.end();
}

bool used(const Model& model, const Certificate& certificate) {
  const auto names_it = [&](const auto& table) { return uses(table.signed_by, certificate.name); };
  return std::ranges::any_of(model.images, names_it) ||
         std::ranges::any_of(model.releases, names_it);
}

void lint_certificate(const Model& model, const Certificate& certificate, std::int64_t now,
                      Findings& findings) {
  const auto warn = [&](std::string message) {
    add_warning(findings, certificate.where,
                fmt::format("certificate \"{}\" {}", certificate.name, message));
  };
  if (!used(model, certificate))
    warn("is used by no image and no release: delete it, or name it in a \"signed_by\"");
  if (certificate.code_only && !certificate.x509.signs_code() && !certificate.x509.may_issue())
    warn("is neither marked for signing code nor a CA, so that with signers = \"code-signing\" it "
         "vouches for nobody: name another, or delete \"signers\"");
  if (const int bits = certificate.x509.security_bits(); bits < signature::min_security_bits)
    warn(fmt::format("has a key that is worth {} bits of security: nothing that it signed counts "
                     "below {}; name one with RSA from 2048 bits or ECDSA",
                     bits, signature::min_security_bits));
  if (certificate.x509.expired_at(now))
    warn(fmt::format("has expired ({}): its signatures count until you delete or revoke it",
                     certificate.x509.expiry()));
  if (certificate.x509.begins_after(now))
    warn("is not valid yet: its signatures count all the same; is the clock right?");
  const Revoked* revoked = find_digest(model.revoked_certificates, certificate.x509.fingerprint());
  if (revoked == nullptr)
    revoked = find_digest(model.revoked_keys, certificate.x509.public_key());
  if (revoked != nullptr)
    warn(fmt::format("is revoked at {}: nothing that it signed counts; delete it",
                     revoked->where.text()));
}

void lint_release(const Model& model, const Release& release, Findings& findings) {
  if (std::ranges::none_of(model.images, [&](const Image& image) {
        return image.release && image.release->text == release.name;
      }))
    add_warning(findings, release.where,
                fmt::format("no image uses release \"{}\": delete it, or write release = \"{}\" in "
                            "an [[image]]",
                            release.name, release.name));
  if (release.sequence == 0)
    add_warning(
        findings, release.where,
        fmt::format("release \"{}\" has no [[manifest]]: it approves nothing yet", release.name));
}

void lint_revoked_image(const Model& model, const Image& image, Findings& findings) {
  for (const measure::Sha256& sha256 : image.sha256)
    if (const Revoked* revoked = model.revoked_image(sha256); revoked != nullptr)
      add_warning(findings, image.where,
                  fmt::format("image \"{}\" has the sha256 {}, which is revoked at {}: it is never "
                              "allowed; remove it from the image",
                              image.name, to_hex(sha256), revoked->where.text()));
}

} // namespace

void resolve_signatures(Model& model, Findings& findings) {
  for (const Manifest& manifest : model.manifests)
    resolve_manifest(model, manifest, findings);
  for (Image& image : model.images)
    resolve_image(model, image, findings);
}

void lint_signatures(const Model& model, std::int64_t now, Findings& findings) {
  for (const Certificate& certificate : model.certificates)
    lint_certificate(model, certificate, now, findings);
  for (const Release& release : model.releases)
    lint_release(model, release, findings);
  for (const Image& image : model.images)
    lint_revoked_image(model, image, findings);
}

} // namespace ashlar::policy
