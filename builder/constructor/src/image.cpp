// SPDX-License-Identifier: LGPL-2.1-or-later
#include "image.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "ashlar/constructor/acpi_tables.hpp"
#include "ashlar/constructor/memory_layout.hpp"
#include "ashlar/constructor/memory_need.hpp"
#include "ashlar/inspector/one_reading.hpp"
#include "xen_guest_headers.hpp"

namespace ashlar::constructor {

namespace {

constexpr std::array elf_magic = {std::byte{0x7f}, std::byte{'E'}, std::byte{'L'}, std::byte{'F'}};
constexpr std::uint64_t unset_address = ~std::uint64_t{0}; // UNSET_ADDR of Xen's libelf.h

struct ImageReleaser {
  void operator()(xc_dom_image* image) const { xc_dom_release(image); }
};

/// One run of libxenguest's domain builder. What its image points to (tables, memory map) is a
/// member, so that it lives as long as the image.
class ImageBuilder {
public:
  ImageBuilder(xen::Control& control, const Plan& plan, std::uint32_t domid)
      : control_(control), plan_(plan), domid_(domid) {}

  [[nodiscard]] Result<RingPages> build(const Payload& payload, const Channels& channels);

private:
  [[nodiscard]] bool translated() const {
    return plan_.configuration.type == measure::GuestType::pvh;
  }
  [[nodiscard]] Status check(int outcome, const char* step, const std::string& remedy = {}) {
    return control_.check(outcome, fmt::format("building domain {}: {}", domid_, step), remedy);
  }
  [[nodiscard]] Status allocate();
  [[nodiscard]] Status take_payload(const Payload& payload);
  void set_machine(const Channels& channels);
  [[nodiscard]] Status parse(const Payload& payload);
  [[nodiscard]] Status populate();
  [[nodiscard]] Status describe_machine();
  [[nodiscard]] Status load();
  [[nodiscard]] RingPages ring_pages() const;

  xen::Control& control_;
  const Plan& plan_;
  std::uint32_t domid_;
  std::vector<std::byte> acpi_;
  std::vector<e820entry> map_;
  std::unique_ptr<xc_dom_image, ImageReleaser> image_;
};

Status ImageBuilder::allocate() {
  image_.reset(xc_dom_allocate(control_.handle(), plan_.command_line.c_str(), nullptr));
  if (!image_)
    return control_.failed(fmt::format("building domain {}: allocating the image", domid_));
  return {};
}

Status ImageBuilder::take_payload(const Payload& payload) {
  // libxenguest would unpack a compressed kernel itself, with code that should never see such
  // bytes. The inspector looked too; but this process has Xen open, and does not rely on it.
  if (payload.kernel.size() < elf_magic.size() ||
      !std::ranges::equal(payload.kernel.first(elf_magic.size()), elf_magic))
    return failure(ErrorCode::invalid, fmt::format("building domain {}: taking the kernel", domid_),
                   "it does not begin like an ELF file");
  TRY(inspector::require_one_reading(payload.kernel));
  TRY(check(xc_dom_kernel_mem(image_.get(), payload.kernel.data(), payload.kernel.size()),
            "taking the kernel"));
  if (payload.initrd.empty())
    return {};
  // Keeps libxenguest from unpacking an initrd; initrd_module() sees to what this does not catch.
  TRY(check(xc_dom_module_max_size(image_.get(), payload.initrd.size()),
            "limiting the size of the initrd"));
  return check(
      xc_dom_module_mem(image_.get(), payload.initrd.data(), payload.initrd.size(), nullptr),
      "taking the initrd");
}

void ImageBuilder::set_machine(const Channels& channels) {
  image_->container_type =
      translated() ? xc_dom_image::XC_DOM_HVM_CONTAINER : xc_dom_image::XC_DOM_PV_CONTAINER;
  image_->console_evtchn = channels.console;
  image_->console_domid = plan_.console_domid;
  image_->xenstore_evtchn = channels.store;
  image_->xenstore_domid = plan_.xenstore_domid;
  image_->max_vcpus = plan_.configuration.vcpus;
  image_->claim_enabled = 0; // a claim only tells earlier what populating tells anyway
  if (!translated())
    return;
  const MemoryLayout layout = lay_out(plan_.configuration.memory_kib);
  image_->target_pages = plan_.configuration.memory_kib * 1024 / XC_PAGE_SIZE;
  image_->mmio_start = mmio_start;
  image_->mmio_size = four_gib - mmio_start;
  image_->lowmem_end = layout.low_end;
  image_->highmem_end = layout.high_end;
  image_->device_model = false;
}

Status ImageBuilder::parse(const Payload& payload) {
  TRY(check(xc_dom_boot_xen_init(image_.get(), control_.handle(), domid_),
            "asking the hypervisor for its capabilities"));
  TRY(check(xc_dom_parse_image(image_.get()), "reading the kernel",
            fmt::format("is it a kernel that can run as a {} guest?",
                        measure::to_string(plan_.configuration.type))));
  const std::uint64_t base = xc_dom_virt_base(image_.get());
  const std::uint64_t offset = base == unset_address ? 0 : base;
  return check_memory_need(image_->kernel_seg.vend - offset, payload.initrd.size(),
                           plan_.configuration.memory_kib);
}

Status ImageBuilder::populate() {
  const std::uint64_t mib = plan_.configuration.memory_kib / 1024;
  TRY(check(xc_dom_mem_init(image_.get(), static_cast<unsigned>(mib)), "sizing its memory"));
  return check(xc_dom_boot_mem_init(image_.get()), "populating its memory",
               fmt::format("does the machine have {} MiB of free memory?", mib));
}

Status ImageBuilder::describe_machine() {
  if (!translated())
    return {};
  acpi_ = acpi_tables(acpi_start, plan_.configuration.vcpus);
  // The first module's address is also the one that libxenguest gives the guest for the RSDP.
  auto& module = image_->acpi_modules[0];
  module.data = reinterpret_cast<std::uint8_t*>(acpi_.data());
  module.length = static_cast<std::uint32_t>(acpi_.size());
  module.guest_addr_out = acpi_start;

  for (const auto& range : memory_map(lay_out(plan_.configuration.memory_kib), acpi_.size()))
    map_.push_back({range.start, range.size, static_cast<std::uint32_t>(range.type)});
  TRY(check(xc_domain_set_memory_map(control_.handle(), domid_, map_.data(),
                                     static_cast<std::uint32_t>(map_.size())),
            "setting its memory map"));
  image_->e820 = map_.data();
  image_->e820_entries = static_cast<unsigned>(map_.size());
  return {};
}

Status ImageBuilder::load() {
  TRY(check(xc_dom_build_image(image_.get()), "loading kernel and initrd"));
  TRY(check(xc_dom_boot_image(image_.get()), "preparing its first vCPU"));
  return check(xc_dom_gnttab_init(image_.get()), "granting the pages of console and xenstore");
}

RingPages ImageBuilder::ring_pages() const {
  return {.store = xc_dom_p2m(image_.get(), image_->xenstore_pfn),
          .console = xc_dom_p2m(image_.get(), image_->console_pfn)};
}

Result<RingPages> ImageBuilder::build(const Payload& payload, const Channels& channels) {
  TRY(check(xc_dom_loginit(control_.handle()), "directing libxenguest's messages to our log"));
  TRY(allocate());
  set_machine(channels);
  TRY(take_payload(payload));
  TRY(parse(payload));
  TRY(populate());
  TRY(describe_machine());
  TRY(load());
  const RingPages pages = ring_pages();
  // Left to the process' end: in a PV domain each page that a living process unmaps is a fault into
  // the hypervisor, and a kernel has some 13,000.
  [[maybe_unused]] const xc_dom_image* left = image_.release();
  return pages;
}

} // namespace

Result<RingPages> build_image(xen::Control& control, const Plan& plan, std::uint32_t domid,
                              const Payload& payload, const Channels& channels) {
  return ImageBuilder(control, plan, domid).build(payload, channels);
}

} // namespace ashlar::constructor
