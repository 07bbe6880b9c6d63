// SPDX-License-Identifier: LGPL-2.1-or-later
// For the system tests only, by /etc/ld.so.preload: makes one call of ashlar-constructor into the
// Xen libraries go wrong. /run/ashlar-fault says which, in one line, at the first of these calls:
//   NAME               the call fails with ENOMEM (each time)
//   kill NAME          the program gets SIGKILL at the call
//   stop NAME          the program stops there until it gets SIGCONT
//   crash-broker NAME  its parent gets SIGKILL there
// /run/ashlar-domids has numbers, a line each: the next domains that are made get these.
// The names are those of points.txt, which points_test.py compares with this file and with the
// program.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <type_traits>

extern "C" {
#include <xenctrl.h>
#include <xenguest.h>
#include <xenstore.h>
}

namespace {

struct Fault {
  std::string how; // empty: fail the call
  std::string name;
};

/// Read once, at the first call, which is before the program confines itself.
Fault read_fault() {
  if (std::string_view(program_invocation_short_name) != "ashlar-constructor")
    return {};
  const int file = open("/run/ashlar-fault", O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return {};
  std::array<char, 128> buffer = {};
  const ssize_t count = read(file, buffer.data(), buffer.size());
  close(file);
  std::string line(buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  line.resize(std::min(line.find('\n'), line.size()));
  const std::size_t space = line.find(' ');
  if (space == std::string::npos)
    return {.how = "", .name = line};
  return {.how = line.substr(0, space), .name = line.substr(space + 1)};
}

/// The first number of the list, which is taken off it; 0: Xen chooses.
std::uint32_t take_domid() {
  constexpr const char* list = "/run/ashlar-domids";
  if (std::string_view(program_invocation_short_name) != "ashlar-constructor")
    return 0;
  FILE* file = fopen(list, "r+e");
  if (file == nullptr)
    return 0;
  std::uint32_t domid = 0;
  if (fscanf(file, "%u\n", &domid) != 1)
    domid = 0;
  std::array<char, 128> rest = {};
  const std::size_t size = fread(rest.data(), 1, rest.size(), file);
  if (fseek(file, 0, SEEK_SET) != 0)
    abort();
  fwrite(rest.data(), 1, size, file);
  fflush(file);
  if (ftruncate(fileno(file), static_cast<off_t>(size)) != 0)
    abort();
  fclose(file);
  return domid;
}

/// Taken once, as the fault is.
std::uint32_t wanted_domid() {
  static const std::uint32_t domid = take_domid();
  return domid;
}

/// Does what the test asked for at this call; true when the call is to fail.
bool strikes(const char* name) {
  static const Fault fault = read_fault();
  static_cast<void>(wanted_domid());
  if (fault.name != name)
    return false;
  if (fault.how.empty())
    return true;
  if (fault.how == "stop") {
    raise(SIGSTOP);
    return false;
  }
  if (fault.how != "kill" && fault.how != "crash-broker") {
    fprintf(stderr, "ashlar-fault: \"%s\" is no fault\n", fault.how.c_str());
    abort();
  }
  kill(fault.how == "kill" ? getpid() : getppid(), SIGKILL);
  // A dead broker takes the constructor along: not one call more.
  for (;;)
    pause();
}

std::uint32_t* chosen(std::uint32_t* domid) {
  if (wanted_domid() != 0)
    *domid = wanted_domid();
  return domid;
}

template <typename Outcome>
Outcome failed() {
  errno = ENOMEM;
  if constexpr (std::is_same_v<Outcome, int>)
    return -1;
  else
    return Outcome{}; // no pointer, no transaction, false
}

template <typename Function>
Function* real(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) {
    fprintf(stderr, "ashlar-fault: no library has %s\n", name);
    abort();
  }
  return reinterpret_cast<Function*>(found);
}

} // namespace

// The headers check the signatures: a wrong one is a conflicting declaration.
#define FAULT_POINT(outcome, name, parameters, arguments)                                          \
  extern "C" outcome name parameters {                                                             \
    if (strikes(#name))                                                                            \
      return failed<outcome>();                                                                    \
    static auto* const next = real<outcome parameters>(#name);                                     \
    return next arguments;                                                                         \
  }

using Xen = xc_interface;
using Logger = xentoollog_logger;
using Image = xc_dom_image;
using Store = xs_handle;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

FAULT_POINT(Xen*, xc_interface_open, (Logger * a, Logger* b, unsigned c), (a, b, c))
FAULT_POINT(int, xc_physinfo, (Xen * a, xc_physinfo_t* b), (a, b))
FAULT_POINT(int, xc_domain_create, (Xen * a, u32* b, xen_domctl_createdomain* c), (a, chosen(b), c))
FAULT_POINT(int, xc_domain_max_vcpus, (Xen * a, u32 b, unsigned c), (a, b, c))
FAULT_POINT(int, xc_domain_setmaxmem, (Xen * a, u32 b, u64 c), (a, b, c))
FAULT_POINT(int, xc_domain_set_memmap_limit, (Xen * a, u32 b, unsigned long c), (a, b, c))
FAULT_POINT(int, xc_hvm_param_set, (Xen * a, u32 b, u32 c, u64 d), (a, b, c, d))
FAULT_POINT(int, xc_set_paging_mempool_size, (Xen * a, u32 b, u64 c), (a, b, c))
FAULT_POINT(int, xc_domain_set_tsc_info, (Xen * a, u32 b, u32 c, u64 d, u32 e, u32 f),
            (a, b, c, d, e, f))
FAULT_POINT(int, xc_cpuid_apply_policy,
            (Xen * a, u32 b, bool c, const u32* d, unsigned e, bool f, bool g, bool h,
             const xc_xend_cpuid* i, const xc_msr* j),
            (a, b, c, d, e, f, g, h, i, j))
FAULT_POINT(int, xc_evtchn_alloc_unbound, (Xen * a, u32 b, u32 c), (a, b, c))
FAULT_POINT(int, xc_domain_set_memory_map, (Xen * a, u32 b, e820entry* c, u32 d), (a, b, c, d))
FAULT_POINT(int, xc_dom_loginit, (Xen * a), (a))
FAULT_POINT(Image*, xc_dom_allocate, (Xen * a, const char* b, const char* c), (a, b, c))
FAULT_POINT(int, xc_dom_kernel_mem, (Image * a, const void* b, size_t c), (a, b, c))
FAULT_POINT(int, xc_dom_module_max_size, (Image * a, size_t b), (a, b))
FAULT_POINT(int, xc_dom_module_mem, (Image * a, const void* b, size_t c, const char* d),
            (a, b, c, d))
FAULT_POINT(int, xc_dom_boot_xen_init, (Image * a, Xen* b, u32 c), (a, b, c))
FAULT_POINT(int, xc_dom_parse_image, (Image * a), (a))
FAULT_POINT(int, xc_dom_mem_init, (Image * a, unsigned b), (a, b))
FAULT_POINT(int, xc_dom_boot_mem_init, (Image * a), (a))
FAULT_POINT(int, xc_dom_build_image, (Image * a), (a))
FAULT_POINT(int, xc_dom_boot_image, (Image * a), (a))
FAULT_POINT(int, xc_dom_gnttab_init, (Image * a), (a))
FAULT_POINT(Store*, xs_open, (unsigned long a), (a))
FAULT_POINT(bool, xs_write,
            (Store * a, xs_transaction_t b, const char* c, const void* d, unsigned e),
            (a, b, c, d, e))
FAULT_POINT(bool, xs_rm, (Store * a, xs_transaction_t b, const char* c), (a, b, c))
FAULT_POINT(bool, xs_set_permissions,
            (Store * a, xs_transaction_t b, const char* c, xs_permissions* d, unsigned e),
            (a, b, c, d, e))
FAULT_POINT(xs_transaction_t, xs_transaction_start, (Store * a), (a))
FAULT_POINT(bool, xs_transaction_end, (Store * a, xs_transaction_t b, bool c), (a, b, c))
FAULT_POINT(bool, xs_introduce_domain, (Store * a, unsigned b, unsigned long c, unsigned d),
            (a, b, c, d))
