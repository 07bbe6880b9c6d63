// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/signature/trust.hpp"

#include <algorithm>

#include <openssl/x509_vfy.h>

#include "ashlar/signature/limits.hpp"
#include "openssl.hpp"

namespace ashlar::signature {

namespace {

constexpr int security_level = 2; // 112 bits: SSL_CTX_set_security_level(3) has the table

bool contains(const std::vector<measure::Sha256>& all, const measure::Sha256& one) {
  return std::ranges::find(all, one) != all.end();
}

bool any_revoked(const STACK_OF(X509) * chain, const Anchors& anchors) {
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    const Certificate certificate = Certificate::of(sk_X509_value(chain, i));
    if (contains(anchors.revoked, certificate.fingerprint()) ||
        contains(anchors.revoked_keys, certificate.public_key()))
      return true;
  }
  return false;
}

} // namespace

const char* to_string(Trust trust) {
  switch (trust) {
  case Trust::none:
    return "none";
  case Trust::trusted:
    return "trusted";
  case Trust::revoked:
    return "revoked";
  case Trust::unfit:
    return "unfit";
  }
  return "unknown";
}

Trust trust(x509_st* signer, stack_st_X509* others, const Certificate& anchor,
            const Anchors& anchors) {
  // Named itself, it needs nobody's word: certificates that come along could only spoil the chain.
  if (X509_cmp(signer, anchor.handle()) == 0)
    others = nullptr;
  const Store store(X509_STORE_new());
  const StoreContext context(X509_STORE_CTX_new());
  if (!store || !context || X509_STORE_add_cert(store.get(), anchor.handle()) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), signer, others) != 1) {
    ERR_clear_error();
    return Trust::none;
  }
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
  // The anchor ends the chain also when it is the signer's own certificate, or no root.
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
  X509_VERIFY_PARAM_set_depth(parameters, max_chain_certificates);
  X509_VERIFY_PARAM_set_auth_level(parameters, security_level);
  const bool reached = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!reached)
    return Trust::none;
  if (any_revoked(X509_STORE_CTX_get0_chain(context.get()), anchors))
    return Trust::revoked;
  const bool fit =
      !contains(anchors.code_only, anchor.fingerprint()) || Certificate::of(signer).signs_code();
  return fit ? Trust::trusted : Trust::unfit;
}

std::vector<Trust> trust(x509_st* signer, stack_st_X509* others, const Anchors& anchors) {
  std::vector<Trust> all;
  for (const Certificate& anchor : anchors.certificates)
    all.push_back(trust(signer, others, anchor, anchors));
  return all;
}

} // namespace ashlar::signature
