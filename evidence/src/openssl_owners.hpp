// SPDX-License-Identifier: LGPL-2.1-or-later
// What this library uses of OpenSSL's owners.
#pragma once

#include "ashlar/crypto/owners.hpp"

namespace ashlar::evidence {

using crypto::BigNumber;
using crypto::Bio;
using crypto::Certificates;
using crypto::CmsMessage;
using crypto::DigestContext;
using crypto::EcSignature;
using crypto::free_bytes;
using crypto::KeyContext;
using crypto::ParameterBuilder;
using crypto::Parameters;
using crypto::Releaser;
using Certificate = crypto::X509Certificate;

} // namespace ashlar::evidence
