// SPDX-License-Identifier: LGPL-2.1-or-later
// TPM2B_PUBLIC.
#include <fmt/format.h>
#include <openssl/core_names.h>

#include <array>

#include "ashlar/evidence/limits.hpp"
#include "ashlar/evidence/tpm_structures.hpp"
#include "ashlar/measure/digest.hpp"
#include "big_endian.hpp"
#include "openssl_owners.hpp"

namespace ashlar::evidence {

namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint16_t type_rsa = 0x1;
constexpr std::uint16_t type_ecc = 0x23;
constexpr std::uint16_t algorithm_null = 0x10;
constexpr std::uint16_t scheme_rsaes = 0x15; // the one scheme without a hash
constexpr std::uint16_t scheme_ecdaa = 0x1A; // has a count behind its hash
constexpr std::uint32_t default_exponent = 65537;

struct Curve {
  std::uint16_t id; // TPM_ECC_CURVE
  const char* name; // OpenSSL's
  std::size_t coordinate_bytes;
};
constexpr std::array curves = {Curve{0x3, "prime256v1", 32}, Curve{0x4, "secp384r1", 48}};

struct Attribute {
  std::uint32_t bit; // TPMA_OBJECT
  bool wanted;
  const char* name;
};
constexpr std::array attestation_attributes = {Attribute{1u << 1, true, "fixedtpm"},
                                               Attribute{1u << 4, true, "fixedparent"},
                                               Attribute{1u << 5, true, "sensitivedataorigin"},
                                               Attribute{1u << 16, true, "restricted"},
                                               Attribute{1u << 17, false, "decrypt"},
                                               Attribute{1u << 18, true, "sign"}};

struct RsaParts {
  std::uint16_t bits = 0;
  std::uint32_t exponent = 0;
  Bytes modulus;
};
struct EccParts {
  std::uint16_t curve = 0;
  Bytes x;
  Bytes y;
};

// TPMT_SYM_DEF_OBJECT and the asymmetric scheme: they say what the TPM does with the key; what it
// signed has its own scheme in the signature.
void skip_schemes(BigEndianReader& reader) {
  if (reader.u16() != algorithm_null) {
    (void)reader.u16(); // key bits
    (void)reader.u16(); // mode
  }
  const std::uint16_t scheme = reader.u16();
  if (scheme != algorithm_null && scheme != scheme_rsaes)
    (void)reader.u16(); // hash
  if (scheme == scheme_ecdaa)
    (void)reader.u16(); // count
}

RsaParts read_rsa(BigEndianReader& reader) {
  skip_schemes(reader);
  RsaParts parts;
  parts.bits = reader.u16();
  parts.exponent = reader.u32();
  parts.modulus = reader.sized();
  return parts;
}

EccParts read_ecc(BigEndianReader& reader) {
  skip_schemes(reader);
  EccParts parts;
  parts.curve = reader.u16();
  if (reader.u16() != algorithm_null) // key derivation
    (void)reader.u16();
  parts.x = reader.sized();
  parts.y = reader.sized();
  return parts;
}

const unsigned char* data_of(const Bytes& bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Result<Key> make_key(const char* type, const ParameterBuilder& builder, const std::string& what) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return failure(ErrorCode::invalid, "reading " + what, "its numbers are no key");
  return Key(key);
}

Result<Key> rsa_key(const RsaParts& parts, const std::string& what) {
  if (parts.bits < min_rsa_bits || parts.bits > max_rsa_bits ||
      parts.modulus.size() * 8 != parts.bits ||
      (parts.modulus.front() & std::byte{0x80}) == std::byte{0})
    return failure(ErrorCode::unsupported, "reading " + what,
                   fmt::format("an RSA key of {} bits: {} to {} are taken", parts.bits,
                               min_rsa_bits, max_rsa_bits));
  const BigNumber modulus(
      BN_bin2bn(data_of(parts.modulus), static_cast<int>(parts.modulus.size()), nullptr));
  const BigNumber exponent(BN_new());
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  if (!modulus || !exponent || !builder ||
      BN_set_word(exponent.get(), parts.exponent == 0 ? default_exponent : parts.exponent) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return failure(ErrorCode::internal, "reading " + what, "OpenSSL refused its numbers");
  return make_key("RSA", builder, what);
}

Result<Key> ecc_key(const EccParts& parts, const std::string& what) {
  for (const Curve& curve : curves) {
    if (curve.id != parts.curve)
      continue;
    if (parts.x.size() > curve.coordinate_bytes || parts.y.size() > curve.coordinate_bytes)
      break;
    Bytes point(1 + 2 * curve.coordinate_bytes);
    point[0] = std::byte{4}; // uncompressed
    std::ranges::copy_backward(parts.x, point.begin() + 1 +
                                            static_cast<std::ptrdiff_t>(curve.coordinate_bytes));
    std::ranges::copy_backward(parts.y, point.end());
    const ParameterBuilder builder(OSSL_PARAM_BLD_new());
    if (!builder ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.name, 0) !=
            1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) != 1)
      return failure(ErrorCode::internal, "reading " + what, "OpenSSL refused its numbers");
    return make_key("EC", builder, what);
  }
  return failure(
      ErrorCode::unsupported, "reading " + what,
      fmt::format("the curve 0x{:x} or its point: P-256 and P-384 are taken", parts.curve));
}

} // namespace

Result<TpmPublic> read_public(std::span<const std::byte> bytes, const std::string& what) {
  BigEndianReader reader(bytes);
  if (reader.u16() + sizeof(std::uint16_t) != bytes.size())
    reader.reject("its first two bytes are not the size of the rest");
  const std::uint16_t type = reader.u16();
  (void)reader.u16(); // the name's hash
  TpmPublic result;
  result.attributes = reader.u32();
  result.policy = reader.sized();
  if (type == type_rsa) {
    const RsaParts parts = read_rsa(reader);
    TRY(reader.end(what));
    result.key = TRY(rsa_key(parts, what));
    return result;
  }
  if (type == type_ecc) {
    const EccParts parts = read_ecc(reader);
    TRY(reader.end(what));
    result.key = TRY(ecc_key(parts, what));
    return result;
  }
  return failure(ErrorCode::unsupported, "reading " + what,
                 fmt::format("a key of the type 0x{:x}: RSA and ECC are taken", type));
}

Result<Bytes> name_of(std::span<const std::byte> bytes, const std::string& what) {
  BigEndianReader reader(bytes);
  const Bytes area = reader.sized();
  TRY(reader.end(what));
  BigEndianReader head(area);
  (void)head.u16(); // type
  const auto hash = static_cast<HashAlgorithm>(head.u16());
  if (!head.good() || hash != HashAlgorithm::sha256)
    return failure(ErrorCode::unsupported, "naming " + what, "its Name is no SHA-256");
  Bytes name = {std::byte{0}, static_cast<std::byte>(hash)};
  const measure::Sha256 digest = TRY(measure::digest(area)).sha256;
  name.insert(name.end(), digest.begin(), digest.end());
  return name;
}

Status require_attestation_key(const TpmPublic& key, const std::string& what) {
  for (const Attribute& attribute : attestation_attributes)
    if (((key.attributes & attribute.bit) != 0) != attribute.wanted)
      return failure(ErrorCode::denied, "looking at the attributes of " + what,
                     fmt::format("{} is {}: whoever has such a key can sign what no TPM said",
                                 attribute.name, attribute.wanted ? "not set" : "set"));
  return {};
}

} // namespace ashlar::evidence
