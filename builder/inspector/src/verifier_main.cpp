// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-verifier: see signatures.hpp for its contract. Wiring only.
#include <unistd.h>

#include <cstdlib>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "ashlar/base/log.hpp"
#include "ashlar/base/mapping.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/inspector/sandbox.hpp"
#include "ashlar/inspector/signatures.hpp"

namespace {

using namespace ashlar;
using namespace ashlar::inspector;

constexpr int question_fd = plain_fd; // the sandbox knows it by what the inspector has there

/// Maps a sealed file. None of its bytes is read: that is for the sandbox.
Result<Mapping> map_sealed(int fd, std::uint64_t limit, const std::string& what) {
  TRY(require_sealed(fd, what));
  const std::uint64_t size = TRY(file_size(fd, what));
  if (size > limit)
    return failure(ErrorCode::limit, "verifying the image",
                   what + " is larger than " + std::to_string(limit) + " bytes");
  return Mapping::of(fd, what);
}

/// Whatever OpenSSL opens, it opens now: its algorithms are built in, and it reads no settings.
bool start_openssl() {
  unsigned char some[16];
  return OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
                                 OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS,
                             nullptr) == 1 &&
         RAND_bytes(some, sizeof some) == 1;
}

Result<signature::ImageSignatures> look_inside(const Result<Mapping>& image,
                                               const SignatureQuestion& question) {
  if (!question.look_inside)
    return failure(ErrorCode::unsupported, "looking into the image", "nobody asked for it");
  if (!image)
    return std::unexpected(image.error());
  return signature::check_image(image->bytes(), question.anchors);
}

SignatureReport verify(const Result<Mapping>& image, const SignatureQuestion& question) {
  SignatureReport report{look_inside(image, question), {}};
  for (const BroughtSignature& brought : question.brought)
    report.brought.push_back(signature::check_detached(brought.message, brought.sha256,
                                                       question.anchors, "the signature"));
  return report;
}

Result<SignatureQuestion> read_question(const Result<Mapping>& question) {
  if (!question)
    return std::unexpected(question.error());
  return decode_question(question->bytes());
}

} // namespace

int main() {
  log::start("ashlar-verifier");
  if (!start_openssl()) {
    log::error("starting OpenSSL failed");
    return EXIT_FAILURE;
  }
  const Result<Mapping> image = map_sealed(image_fd, max_image_bytes, "the image");
  const Result<Mapping> asked = map_sealed(question_fd, max_question_bytes, "the question");
  const Result<Isolation> isolation = enter_sandbox({});
  if (!isolation) {
    log::error("{}", isolation.error().message());
    return EXIT_FAILURE;
  }
  // The builder wrote it: what it cannot read is nothing that a report could answer.
  const Result<SignatureQuestion> question = read_question(asked);
  if (!question) {
    log::error("{}", question.error().message());
    return EXIT_FAILURE;
  }
  // It is the builder's log: whatever an image makes of this process, it forges no lines there.
  close(STDERR_FILENO);
  return write_all(report_fd, encode(verify(image, *question)), "the report") ? EXIT_SUCCESS
                                                                              : EXIT_FAILURE;
}
