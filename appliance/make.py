# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the appliance for a machine of one's own: Xen, a kernel and one initrd for domain 0, and their GRUB menu entry.

What the initrd holds for the builder (settings, boot manifest, policy, and the images that it starts domains from) is
written beside it as files: to be read, and to be changed and given back with the options. docs/appliance.md explains.
"""

import argparse
import shutil
import sys
from pathlib import Path

from appliance import host, images, qemu, trial, xen
from appliance.kernels import kernel
from appliance.settings import PLAIN
from appliance.started import check_domains

ROOT = Path(__file__).resolve().parent.parent
DEBIAN_CERTIFICATE = ROOT / "examples" / "policies" / "vtpm-required" / "05-debian.toml"
EXAMPLE_POLICY = (DEBIAN_CERTIFICATE, host.POLICY / "20-guests.toml")
DEBUG_POLICY = host.POLICY / "30-operator.toml"
SUMS = "SHA256SUMS"

# For domain 0: what the builder may hold of images (store_mib), the initrd's contents, and itself.
DOM0_MEMORY_MIB = 2560
XEN_ARGUMENTS = ("console=com1,vga com1=115200,8n1 dom0_mem={dom0_mib}M,max:{dom0_mib}M dom0_max_vcpus=2 "
                 "loglvl=warning guest_loglvl=warning")
DOM0_ARGUMENTS = "console=hvc0 quiet"
RELAY = "ashlar.relay=toolstack"  # domain 0's console shows what the toolstack domain writes to its own
SHELL = "ashlar.shell=hvc0"       # which only a debug image has

# Where GRUB finds the files: /boot may be a partition of its own.
GRUB_ENTRY = """\
menuentry "Ashlar" {{
	insmod part_gpt
	insmod part_msdos
	insmod ext2
	if search --no-floppy --set=root --file /boot/ashlar/xen.gz; then
		set ashlar=/boot/ashlar
	else
		search --no-floppy --set=root --file /ashlar/xen.gz
		set ashlar=/ashlar
	fi
	multiboot2 $ashlar/xen.gz {xen}
	module2 $ashlar/vmlinuz {dom0}
	module2 --nounzip $ashlar/initrd
}}
"""


def existing(text):
    """The path of a file or folder that is there."""
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text} is not there")
    return path


def parse_arguments():
    """The options."""
    parser = argparse.ArgumentParser(prog="./dev image", description=__doc__.splitlines()[0],
                                     epilog=__doc__.partition("\n\n")[2])
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "image", metavar="DIR", help="where to (default: out/image)")
    parser.add_argument("--debug", action="store_true",
                        help="with a root shell in domain 0, xl and the ashlar command: to look around, not to rely on")
    parser.add_argument("--without-tpm", action="store_true",
                        help="for a machine without a TPM 2.0: no TPM Manager, and no vTPMs")
    own = parser.add_argument_group("of your own, instead of the examples")
    own.add_argument("--policy", type=existing, metavar="DIR",
                     help="policy files: in place of the example for guests, and of each of the others of the same name")
    own.add_argument("--settings", type=existing, metavar="FILE", help="becomes /etc/ashlar/builder.toml")
    own.add_argument("--boot-manifest", type=existing, metavar="FILE", help="becomes /etc/ashlar/boot.toml")
    own.add_argument("--boot-image", type=existing, action="append", default=[], metavar="FILE",
                     help="becomes /boot/ashlar/NAME, for a boot manifest that names it; may be repeated")
    own.add_argument("--toolstack-kernel", type=existing, metavar="FILE",
                     help="of the toolstack domain; the example's initrd has modules for the kernel that it comes with")
    own.add_argument("--toolstack-initrd", type=existing, metavar="FILE", help="likewise")
    own.add_argument("--toolstack-script", type=existing, metavar="FILE",
                     help="what the example's toolstack domain runs; the machine powers off when it ends")
    own.add_argument("--toolstack-images", type=existing, metavar="DIR",
                     help="the files in it are in /images of the example's toolstack domain")
    parser.add_argument("--try", action="store_true", dest="trial",
                        help="then boot it in QEMU until every domain of the boot manifest is built; takes minutes")
    parser.add_argument("--build", type=existing, default=ROOT / "build", metavar="DIR", help="Meson's build directory")
    return parser.parse_args()


def own_files(options):
    """The files and folders that were given."""
    given = (options.policy, options.settings, options.boot_manifest, options.toolstack_kernel, options.toolstack_initrd,
             options.toolstack_script, options.toolstack_images, *options.boot_image)
    return [path for path in given if path]


def prepare(folder, own):
    """Makes the folder, without what this command wrote to it before; leaves alone what it did not write, and the
    files `own` that are to be read."""
    for path in own:
        if path.resolve().is_relative_to(folder):
            raise SystemExit(f"{path} is in {folder}, which is written anew: copy it to another place and change it there")
    if folder.exists() and any(folder.iterdir()) and not (folder / SUMS).exists():
        raise SystemExit(f"{folder} has files that ./dev image did not write: give it another folder with --output")
    (folder / "grub.cfg").unlink(missing_ok=True)
    for part in ("boot", "inside"):
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir(parents=True)
    (folder / SUMS).write_text("")  # ours from now on, whatever comes


def make_recipe(options, parts):
    """The appliance's recipe; its service and toolstack domains' initrds are written into the folder `parts`."""
    sent = sorted(options.toolstack_images.iterdir()) if options.toolstack_images else []
    toolstack = options.toolstack_initrd or images.write_toolstack(
        parts / "toolstack-initrd", options.build, {f"/images/{file.name}": file for file in sent},
        demo=options.toolstack_script)
    recipe = host.appliance(parts, options.build, toolstack, options.toolstack_kernel, not options.without_tpm, PLAIN)
    own = sorted(options.policy.glob("*.toml")) if options.policy else EXAMPLE_POLICY
    if options.debug:
        recipe.policies |= texts([DEBUG_POLICY])
    recipe.policies |= texts(own)
    recipe.settings = options.settings and options.settings.read_text()
    recipe.boot_manifest = options.boot_manifest and options.boot_manifest.read_text()
    recipe.boot_images = {file.name: file for file in options.boot_image}
    recipe.debug = options.debug
    return recipe


def texts(files):
    """Policy files, file name -> text."""
    return {file.name: file.read_text() for file in files if not file.name.endswith(".cases.toml")}


def write_inside(folder, files):
    """Writes what the builder reads in its domain (path -> text or host Path), as files below `folder`."""
    for path, content in files.items():
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            if content != target:
                shutil.copyfile(content, target)
        else:
            target.write_text(content)


def write_sums(folder):
    """Writes the SHA-256 of every file of the folder, as sha256sum(1) checks it."""
    files = sorted(path for part in ("boot", "inside", "grub.cfg") for path in [folder / part, *(folder / part).rglob("*")]
                   if path.is_file())
    (folder / SUMS).write_text("".join(f"{host.digest(path)}  {path.relative_to(folder)}\n" for path in files))


def main():
    """Makes the image; gives the exit status."""
    options = parse_arguments()
    folder = options.output.resolve()
    prepare(folder, own_files(options))
    parts = folder / "inside" / "boot" / "ashlar"
    parts.mkdir(parents=True)
    recipe = make_recipe(options, parts)
    files = images.builder_files(recipe)
    write_inside(folder / "inside", files)
    check_domains(files, folder / "inside", options.build / "cli" / "ashlar")
    images.write_appliance(folder / "boot" / "initrd", recipe)
    shutil.copyfile(kernel("6.1").image, folder / "boot" / "vmlinuz")
    shutil.copyfile(xen.HYPERVISOR, folder / "boot" / "xen.gz")
    dom0 = (DOM0_ARGUMENTS, "" if options.without_tpm else qemu.WITHOUT_TPM_DRIVER, RELAY, SHELL if options.debug else "")
    (folder / "grub.cfg").write_text(GRUB_ENTRY.format(xen=XEN_ARGUMENTS.format(dom0_mib=DOM0_MEMORY_MIB),
                                                       dom0=" ".join(word for word in dom0 if word)))
    write_sums(folder)
    print((folder / SUMS).read_text(), end="")
    print(f"{folder}: boot/ goes to the machine's /boot/ashlar, grub.cfg to its GRUB menu (docs/appliance.md)")
    return trial.boot(folder, tpm=not options.without_tpm) if options.trial else 0


if __name__ == "__main__":
    sys.exit(main())
