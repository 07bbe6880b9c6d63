# SPDX-License-Identifier: LGPL-2.1-or-later
"""Recipes: what is in the appliance's, a toolstack domain's and a guest's initramfs."""

from dataclasses import dataclass, field
from pathlib import Path

from appliance import contents, xen
from appliance.archive import Archive
from appliance.kernels import guest_package, kernel
from appliance.settings import (BOOT_MANIFEST, BUILDER_SETTINGS, EMULATED, MANAGER_MANIFEST, SERVICE_KERNEL,
                                SERVICE_MEMORY_MIB, VTPM_SETTINGS, XENSTORED_SETTINGS, CommandLines)

HERE = Path(__file__).resolve().parent

# The drivers of the appliance: access to Xen itself, and none for hardware. xen-gntalloc's limit is
# the pages for vchan rings of all connections: 2 * 256 pages and a control page for each.
APPLIANCE_MODULES = ("xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xenfs")
MODULE_PARAMETERS = {"xen-gntalloc": "limit=32768"}
TOOLSTACK_MODULES = APPLIANCE_MODULES
SERVICE_MODULES = APPLIANCE_MODULES
# What a guest needs for its vTPM: 1.2 by Linux' own driver, 2.0 by the agent and the proxy driver.
GUEST_KERNELS = ("6.1-cloud", "6.12-cloud")
GUEST_MODULES = {"1.2": ("xen-tpmfront",), "2.0": ("xen-evtchn", "xen-gntalloc", "tpm_vtpm_proxy")}

# Both ends of disks and network interfaces; what Xen's tools for a driver domain call.
DEVICE_FRONTENDS = ("xen-blkfront", "xen-netfront")
DEVICE_BACKENDS = ("loop", "xen-blkback", "bridge", "xen-netback")
DRIVER_DOMAIN_PROGRAMS = ("/bin/bash", "/usr/bin/xenstore-read", "/usr/bin/xenstore-write", "/usr/bin/xenstore-list",
                          "/usr/bin/xenstore-exists", "/usr/bin/xenstore-rm", "/usr/bin/flock")

# What guests try their TPMs with: tpm2-tools is one program with many names.
TPM12_PROGRAMS = {
    "trousers": ("tcsd",),
    "tpm-tools": ("tpm_version", "tpm_selftest", "tpm_createek", "tpm_getpubek", "tpm_setpresence",
                  "tpm_clear")}
TPM2_TOOLS = ("selftest", "gettestresult", "getrandom", "pcrread", "createek", "createak", "quote",
              "checkquote", "createpolicy", "createprimary", "create", "unseal", "nvdefine", "nvwrite", "nvread",
              "pcrreset", "pcrallocate", "clear", "pcrextend")
# tpm2-tools opens it with dlopen: ldd does not list it.
TPM2_DEVICE = Path("/usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0")

# Where the programs of the build directory go.
PROGRAMS = {
    "builder/inspector/ashlar-inspector": "/usr/libexec/ashlar/ashlar-inspector",
    "builder/inspector/ashlar-verifier": "/usr/libexec/ashlar/ashlar-verifier",
    "builder/constructor/ashlar-constructor": "/usr/libexec/ashlar/ashlar-constructor",
    "builder/broker/ashlar-builder": "/usr/sbin/ashlar-builder",
}
DEBUG_PROGRAMS = ("xenstore-ls", "xenstore-read", "xenstore-list", "xenstore-write",
                  "xenstore-rm", "xenstore-chmod", "xenstore-watch")


@dataclass
class Appliance:
    """What one appliance image holds besides the fixed parts."""

    build: Path                                   # Meson's build directory
    toolstack_kernel: Path = None                 # both or none: no boot manifest without them
    toolstack_initrd: Path = None
    service_kernel: Path = None                   # of the TPM Manager's and the vTPMs' domains
    tpm_manager_initrd: Path = None               # none: the machine has no TPM Manager
    vtpm_initrd: Path = None                      # none: no vTPMs
    command_lines: CommandLines = EMULATED        # of the domains that the builder starts
    policies: dict = field(default_factory=dict)  # file name -> text
    settings: str = None                          # instead of those that these images need
    boot_manifest: str = None                     # likewise
    boot_images: dict = field(default_factory=dict)  # more of what these name: file name -> host Path
    device_seconds: int = 0                       # that builds wait for devices; 0: as long as usual
    debug: bool = False                           # shell and Xen's own tools
    with_builder: bool = True                     # off for bringing up the parts below it
    second_toolstack: bool = False                # one more, which the appliance outlives
    preload: Path = None                          # debug: a library for /etc/ld.so.preload
    files: dict = field(default_factory=dict)     # debug: path -> bytes, text or host Path
    programs: tuple = ()                          # debug: of the host, with their libraries


def program_of(build, name, preload=None):
    """A program of the build directory as images carry it: the one with all libraries inside, unless one is to come
    between (appliance/meson.build)."""
    return build / name if preload else build / "appliance" / Path(name).name


def write_appliance(target, recipe):
    """Writes the initramfs of domain 0."""
    archive = contents.skeleton()
    contents.add_program(archive, program_of(recipe.build, "builder/init/ashlar-init", recipe.preload), "/init")
    # ashlar-init knows no version.
    archive.link("/usr/lib/xen", xen.PROGRAMS.parent.name)
    for name in ("oxenstored", "xenconsoled"):
        contents.add_program(archive, xen.PROGRAMS / name)
    for plugin in xen.STORE_PLUGINS:
        contents.add_program(archive, plugin)
    archive.file("/etc/xen/oxenstored.conf", XENSTORED_SETTINGS)
    # glibc's pthread_exit and pthread_cancel open it at run time: ldd does not list it.
    contents.add_library(archive, contents.UNWINDER)
    archive.directory("/var/log/xen/console")
    lines = contents.add_modules(archive, kernel("6.1"), APPLIANCE_MODULES, MODULE_PARAMETERS)
    archive.file("/etc/ashlar/modules", "\n".join(lines) + "\n")
    if recipe.with_builder:
        _add_builder(archive, recipe)
    if recipe.debug:
        _add_debug(archive, recipe)
    return archive.write(target)


def _add_builder(archive, recipe):
    for source, path in PROGRAMS.items():
        contents.add_program(archive, program_of(recipe.build, source, recipe.preload), path)
    for path, content in builder_files(recipe).items():
        archive.file(path, content)


def builder_files(recipe):
    """What the builder reads in its domain, path -> text or host Path: its settings, boot manifest and policy, and the
    images that the first two name."""
    files = {f"/etc/ashlar/policy.d/{name}": text for name, text in recipe.policies.items()}
    settings = BUILDER_SETTINGS
    manifest = ""
    if recipe.service_kernel:
        files[SERVICE_KERNEL] = recipe.service_kernel
    if recipe.tpm_manager_initrd:
        files["/boot/ashlar/tpm-manager-initrd"] = recipe.tpm_manager_initrd
        manifest = MANAGER_MANIFEST.format(command_line=recipe.command_lines.tpm_manager,
                                           memory_mib=SERVICE_MEMORY_MIB)
    if recipe.vtpm_initrd:
        files["/boot/ashlar/vtpm-initrd"] = recipe.vtpm_initrd
        settings += VTPM_SETTINGS.format(command_line=recipe.command_lines.vtpm, memory_mib=SERVICE_MEMORY_MIB)
    if recipe.device_seconds:
        settings = f"device_seconds = {recipe.device_seconds}\n{settings}"
    if recipe.toolstack_kernel:
        # The same kernel as that of the service domains is there, and is measured, once.
        if recipe.toolstack_kernel == recipe.service_kernel:
            path = SERVICE_KERNEL
        else:
            path = "/boot/ashlar/toolstack-vmlinuz"
            files[path] = recipe.toolstack_kernel
        files["/boot/ashlar/toolstack-initrd"] = recipe.toolstack_initrd
        manifest += _boot_domain(recipe, "toolstack", path, first=True)
        if recipe.second_toolstack:
            manifest += _boot_domain(recipe, "toolstack-2", path, first=False)
    files |= {f"/boot/ashlar/{name}": path for name, path in recipe.boot_images.items()}
    return files | {"/etc/ashlar/builder.toml": recipe.settings or settings,
                    "/etc/ashlar/boot.toml": recipe.boot_manifest or manifest}


def _boot_domain(recipe, name, kernel_path, first):
    return BOOT_MANIFEST.format(name=name, kernel=kernel_path, essential=str(first).lower(),
                                vtpm_state_store=str(first).lower(),
                                command_line=recipe.command_lines.toolstack)


def _add_debug(archive, recipe):
    contents.add_xl(archive)
    archive.directory("/var/lib/xen")
    contents.add_program(archive, xen.PROGRAMS / "xenconsole")
    for name in DEBUG_PROGRAMS:
        contents.add_program(archive, f"/usr/bin/{name}")
    for program in (program_of(recipe.build, "cli/ashlar"), recipe.build / "test/system/client/ashlar-rogue",
                    program_of(recipe.build, "test/system/client/ashlar-machine-state")):
        if program.exists():
            contents.add_program(archive, program, f"/usr/bin/{program.name}")
    for program in recipe.programs:
        contents.add_program(archive, program)
    for path, content in recipe.files.items():
        archive.file(path, content, 0o755)
    if recipe.preload:
        _add_preload(archive, recipe.preload)
    contents.add_busybox(archive)


@dataclass
class Service:
    """The one program of a service domain."""

    program: Path                                 # of the host
    arguments: tuple = ()
    at_end: str = "power-off"                     # or "restart"
    files: dict = field(default_factory=dict)     # path -> text
    preload: Path = None                          # tests: a library of the build directory


def write_service(target, build, service):
    """Writes the initramfs of a domain with one program and no shell."""
    archive = contents.skeleton()
    contents.add_program(archive, program_of(build, "builder/init/ashlar-service-init"), "/init")
    lines = contents.add_modules(archive, kernel("6.1-cloud"), SERVICE_MODULES, MODULE_PARAMETERS)
    archive.file("/etc/ashlar/modules", "\n".join(lines) + "\n")
    path = f"/usr/sbin/{service.program.name}"
    contents.add_program(archive, service.program, path)
    command = " ".join((path, *service.arguments))
    archive.file("/etc/ashlar/service", f"{command}\n{service.at_end}\n")
    for name, text in service.files.items():
        archive.file(name, text)
    if service.preload:
        _add_preload(archive, build / service.preload)
    return archive.write(target, packed=True)


def _add_preload(archive, library):
    path = f"/usr/lib/{library.name}"
    archive.program(path, library)
    for needed in contents.libraries(library):
        contents.add_library(archive, needed)
    archive.file("/etc/ld.so.preload", path + "\n")


def write_tpm_manager(target, build, vtpm_images, preload=None):
    """Writes the TPM Manager's initramfs; `vtpm_images` has a (kernel, initrd) SHA-256 pair for each
    image that a vTPM may be built from. `preload`, in tests: a library of the build directory."""
    lines = "".join(f"{kernel_digest} {initrd}\n" for kernel_digest, initrd in vtpm_images)
    return write_service(target, build, Service(
        build / "tpm/ashlar-tpm-manager",  # Debian has tpm2-tss as shared libraries alone
        ("--vtpm-images", "/etc/ashlar/vtpm-images", "--key-store", "store"), "restart",
        {"/etc/ashlar/vtpm-images": lines}, preload))


def write_toolstack(target, build, files, demo=None, extra_programs=None):
    """Writes the initramfs of a toolstack domain.

    `files` (path -> bytes or host Path) are the images that it will send; `demo` is a script that it
    runs before it powers off, and without one it gives a root shell on its console.
    `extra_programs` (path -> host Path) are added with their libraries.
    """
    archive = contents.skeleton()
    archive.program("/init", HERE / "toolstack" / "init")
    lines = contents.add_modules(archive, kernel("6.1-cloud"), TOOLSTACK_MODULES,
                                 MODULE_PARAMETERS)
    archive.file("/etc/modules", "\n".join(lines) + "\n")
    programs = {"/usr/bin/ashlar": program_of(build, "cli/ashlar"),
                "/usr/sbin/ashlar-vtpm-store": program_of(build, "tpm/state/ashlar-vtpm-store")}
    programs |= extra_programs or {}
    for path, source in programs.items():
        if source.exists():
            contents.add_program(archive, source, path)
    contents.add_library(archive, contents.UNWINDER)
    for path, content in files.items():
        archive.file(path, content)
    if demo:
        archive.program("/usr/libexec/demo", demo)
    contents.add_busybox(archive)
    return archive.write(target, packed=True)


def write_vtpm(target, build):
    """Writes the initramfs of a vTPM's domain."""
    return write_service(target, build, Service(program_of(build, "tpm/vtpm/ashlar-vtpm")))


def _add_vtpm_agent(archive, build):
    for program in ("tpm/agent/ashlar-vtpm-agent", "tpm/attest/ashlar-attest"):
        archive.program(f"/usr/sbin/{Path(program).name}",
                        contents.without_debug_information(build / program))
    for version, names in GUEST_MODULES.items():
        _add_modules_by_release(archive, version, names)


def _add_modules_by_release(archive, what, names):
    for flavour in GUEST_KERNELS:
        release = kernel(flavour).release
        files = kernel(flavour).modules(names)
        for file in files:
            archive.file(f"/usr/lib/modules/{release}/{file.name}", file)
        archive.file(f"/etc/modules-{what}-{release}",
                     "".join(f"/usr/lib/modules/{release}/{file.name}\n" for file in files))


def write_guest(target, extra=None, build=None):
    """Writes a small guest's initramfs; `extra` (path -> text) makes it differ from others, `build`
    adds what it needs to use a vTPM."""
    archive = contents.skeleton()
    if build:
        _add_vtpm_agent(archive, build)
    archive.program("/init", HERE / "guest" / "init")
    # Before busybox, whose own links would only signal process 1.
    for name in ("poweroff", "reboot"):
        archive.program(f"/usr/sbin/{name}", HERE / "guest" / "shutdown")
    for path, text in (extra or {}).items():
        archive.file(path, text)
    contents.add_busybox(archive)
    return archive.write(target, packed=True)


def write_tpm_tools(target):
    """Writes an initramfs with the tools for both TPM versions, and a script that uses them: for a
    guest with a vTPM, beside that of write_guest()."""
    archive = Archive()
    for path in ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/etc"):
        archive.directory(path)
    for package, names in TPM12_PROGRAMS.items():
        for name in names:
            path = f"/usr/sbin/{name}"
            contents.add_program(archive, f"{guest_package(package)}{path}", path)
    contents.add_program(archive, "/usr/bin/tpm2")
    for name in TPM2_TOOLS:
        archive.link(f"/usr/bin/tpm2_{name}", "tpm2")
    contents.add_library(archive, TPM2_DEVICE)
    contents.add_library(archive, contents.UNWINDER)  # for tcsd's threads
    archive.program("/usr/libexec/guest-tools", HERE / "guest" / "tools")
    return archive.write(target, packed=True)


def write_guest_devices(target):
    """Writes an initramfs with the drivers of disks and network interfaces, and a script that tries them:
    beside that of write_guest()."""
    archive = Archive()
    for path in ("/usr/lib", "/usr/lib/modules", "/usr/libexec", "/etc"):
        archive.directory(path)
    _add_modules_by_release(archive, "devices", DEVICE_FRONTENDS)
    archive.program("/usr/libexec/guest-devices", HERE / "guest" / "devices")
    return archive.write(target)


def write_driver_domain(target):
    """Writes an archive that makes a toolstack domain a driver domain, once it is unpacked over its root:
    Xen's own `xl devd` and hotplug scripts, and the backends' modules, in the order of /etc/backends."""
    archive = contents.skeleton()
    contents.add_xl(archive)
    for path in ("/var/lib/xen", "/var/log/xen", "/var/lock", "/etc/xen/scripts"):
        archive.directory(path)
    for script in sorted(Path("/etc/xen/scripts").iterdir()):
        archive.program(str(script), script)
    for program in DRIVER_DOMAIN_PROGRAMS:
        contents.add_program(archive, program)
    contents.add_library(archive, contents.UNWINDER)
    lines = contents.add_modules(archive, kernel("6.1-cloud"), DEVICE_BACKENDS)
    archive.file("/etc/backends", "\n".join(lines) + "\n")
    return archive.write(target)


def write_extra_initrd(target, files):
    """Writes an initramfs with nothing but `files` (path -> text): for guests with several."""
    archive = Archive()
    for path, text in files.items():
        archive.file(path, text)
    return archive.write(target)
