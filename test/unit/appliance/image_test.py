# SPDX-License-Identifier: LGPL-2.1-or-later
"""`./dev image` writes what a machine boots, always the same, and says so when its builder could not start a domain."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
EXIT_SKIPPED = 77  # Meson's


class Maker:
    """Runs the command into a folder."""

    def __init__(self, build, folder):
        self._command = [sys.executable, "-m", "appliance.make", "--build", build]
        self.folder = folder

    def make(self, output, *options):
        """Makes an image; gives the folder and what the command wrote."""
        done = subprocess.run([*self._command, "--output", self.folder / output, *options], cwd=ROOT, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return self.folder / output, done.returncode, done.stdout


def test_whole(maker):
    """Every file is in SHA256SUMS, and the menu entry names the files that are to boot."""
    folder, status, text = maker.make("whole")
    assert status == 0, text
    subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=folder, check=True)
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == {*sums, "SHA256SUMS"}, there
    named = re.findall(r"^\s*(?:multiboot2|module2)(?: --nounzip)? \$ashlar/(\S+)", (folder / "grub.cfg").read_text(), re.M)
    assert named == ["xen.gz", "vmlinuz", "initrd"], named
    assert {f"boot/{name}" for name in named} == {name for name in sums if name.startswith("boot/")}
    assert b"usr/bin/busybox\0" not in (folder / "boot/initrd").read_bytes()
    assert maker.make("whole")[2] == text, "a second run gives other files"


def test_debug(maker):
    """A debug image, and it alone, has a shell and lets root look on."""
    folder, status, text = maker.make("debug", "--debug", "--without-tpm")
    assert status == 0, text
    assert b"usr/bin/busybox\0" in (folder / "boot/initrd").read_bytes()
    assert "ashlar.shell=hvc0" in (folder / "grub.cfg").read_text()
    assert (folder / "inside/etc/ashlar/policy.d/30-operator.toml").exists()
    assert not (folder / "inside/boot/ashlar/vtpm-initrd").exists()


def test_own(maker):
    """Own files take the place of the examples; the boot manifest's images must be there, and the policy let them start."""
    policy = maker.folder / "policy"
    policy.mkdir()
    toolstack = (ROOT / "appliance/policy/10-toolstack.toml").read_text()
    (policy / "10-toolstack.toml").write_text(re.sub(r"\$\{\w+\}", "0" * 64, toolstack))
    _, status, text = maker.make("own", "--policy", policy)
    assert status == 1 and "does not let the builder start toolstack" in text, text
    assert "command line" in text, text
    (policy / "10-toolstack.toml").unlink()
    (policy / "20-own.toml").write_text("version = 1\n")
    folder, status, text = maker.make("own", "--policy", policy, "--without-tpm")
    assert status == 0, text
    assert {file.name for file in (folder / "inside/etc/ashlar/policy.d").iterdir()} == {"10-toolstack.toml", "20-own.toml"}
    manifest = maker.folder / "manifest.toml"
    manifest.write_text('[[domain]]\nname = "toolstack"\nmemory_mib = 64\nkernel = "/boot/ashlar/other-vmlinuz"\n')
    _, status, text = maker.make("own", "--boot-manifest", manifest)
    assert status == 1 and "/boot/ashlar/other-vmlinuz, which is not in the image" in text, text


def test_others_files(maker):
    """Somebody else's files are left alone, and what the image cannot do with them is said."""
    folder = maker.folder / "others"
    (folder / "boot").mkdir(parents=True)
    (folder / "boot" / "precious").write_text("")
    _, status, text = maker.make("others")
    assert status == 1 and "did not write" in text, text
    assert (folder / "boot" / "precious").exists()
    folder, status, text = maker.make("again", "--without-tpm")
    assert status == 0, text
    settings = folder / "inside/etc/ashlar/builder.toml"
    _, status, text = maker.make("again", "--without-tpm", "--settings", settings)
    assert status == 1 and "is written anew" in text, text
    assert settings.exists()
    other = maker.folder / "other.toml"
    other.write_text(settings.read_text().replace("/usr/libexec", "/opt"))
    _, status, text = maker.make("again", "--without-tpm", "--settings", other)
    assert status == 1 and 'must have libexec_directory = "/usr/libexec/ashlar"' in text, text


def main(build):
    """Runs the tests."""
    if not (ROOT / ".cache/kernels/index.json").exists():
        print("skipped: Debian's kernels are not there: run ./dev setup")
        return EXIT_SKIPPED
    for test in (test_whole, test_debug, test_own, test_others_files):
        with tempfile.TemporaryDirectory() as folder:
            test(Maker(build, Path(folder)))
            print(f"ok: {test.__doc__}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
