// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/signature/trust.hpp"

#include <algorithm>

#include <openssl/x509_vfy.h>

#include "ashlar/signature/limits.hpp"
#include "openssl.hpp"

namespace ashlar::signature {

namespace {

constexpr int security_level = 2; // min_security_bits: SSL_CTX_set_security_level(3) has the table
constexpr int any_level = 0;

/// Does a chain from the context's signer lead to the one certificate in `store`?
bool leads(X509_STORE_CTX* context, X509_STORE* store, X509* signer, STACK_OF(X509) * others,
           int level) {
  X509_STORE_CTX_cleanup(context);
  if (X509_STORE_CTX_init(context, store, signer, others) != 1)
    return false;
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context);
  // The anchor ends the chain also when it is the signer's own certificate, or no root.
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
  X509_VERIFY_PARAM_set_depth(parameters, max_chain_certificates);
  X509_VERIFY_PARAM_set_auth_level(parameters, level);
  const bool led = X509_verify_cert(context) == 1;
  ERR_clear_error();
  return led;
}

bool about_strength(int error) {
  return error == X509_V_ERR_EE_KEY_TOO_SMALL || error == X509_V_ERR_CA_KEY_TOO_SMALL ||
         error == X509_V_ERR_CA_MD_TOO_WEAK;
}

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
  case Trust::weak:
    return "weak";
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
  if (!store || !context || X509_STORE_add_cert(store.get(), anchor.handle()) != 1) {
    ERR_clear_error();
    return Trust::none;
  }
  if (!leads(context.get(), store.get(), signer, others, security_level)) {
    // Strength is checked before signatures: is it all that is wrong?
    const bool weak = about_strength(X509_STORE_CTX_get_error(context.get())) &&
                      leads(context.get(), store.get(), signer, others, any_level);
    return weak ? Trust::weak : Trust::none;
  }
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
