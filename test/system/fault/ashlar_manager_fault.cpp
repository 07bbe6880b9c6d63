// SPDX-License-Identifier: LGPL-2.1-or-later
// For the system tests only, by /etc/ld.so.preload of the TPM Manager's domain: kills
// ashlar-tpm-manager once, at the moment that the node data/ashlar-test of its domain says:
//   before-extend  the record is in the journal and not in the PCR
//   after-extend   it is in the PCR; the journal does not say so
//   before-answer  both have it; the builder does not know
#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" {
#include <libxenvchan.h>
#include <tss2/tss2_esys.h>
#include <xenstore.h>
}

namespace {

constexpr const char* node = "data/ashlar-test";

/// Ends the process if the test asked for it at this moment, and forgets that it did.
void reach(std::string_view moment) {
  if (std::string_view(program_invocation_short_name) != "ashlar-tpm-manager")
    return;
  xs_handle* store = xs_open(0);
  if (store == nullptr)
    return;
  unsigned length = 0;
  auto* const wanted = static_cast<char*>(xs_read(store, XBT_NULL, node, &length));
  const bool now = wanted != nullptr && moment == std::string_view(wanted, length);
  if (now && xs_rm(store, XBT_NULL, node))
    kill(getpid(), SIGKILL);
  free(wanted);
  xs_close(store);
}

template <typename Function>
Function* real(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) {
    fprintf(stderr, "ashlar-manager-fault: no library has %s\n", name);
    abort();
  }
  return reinterpret_cast<Function*>(found);
}

} // namespace

extern "C" TSS2_RC Esys_PCR_Extend(ESYS_CONTEXT* context, ESYS_TR pcr, ESYS_TR first,
                                   ESYS_TR second, ESYS_TR third,
                                   const TPML_DIGEST_VALUES* digests) {
  reach("before-extend");
  static auto* const next = real<decltype(Esys_PCR_Extend)>("Esys_PCR_Extend");
  const TSS2_RC status = next(context, pcr, first, second, third, digests);
  reach("after-extend");
  return status;
}

extern "C" int libxenvchan_write(libxenvchan* channel, const void* data, size_t size) {
  reach("before-answer");
  static auto* const next = real<decltype(libxenvchan_write)>("libxenvchan_write");
  return next(channel, data, size);
}
