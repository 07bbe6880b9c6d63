# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine with real Xen in QEMU (software emulation, no KVM), and shells in two of its domains.

Serial line 1 is Xen's and domain 0's console and goes to a log file. In debug images, line 2 is a root
shell in domain 0, and line 3 is connected, inside domain 0, with the toolstack domain's console.
"""

import re
import subprocess
import tempfile
import time
from pathlib import Path

from appliance.qemu import (DOM0_MEMORY_MIB, MACHINE_SECONDS, MEMORY_MIB, WITHOUT_TPM_DRIVER, SoftwareTpm, power_on,
                            qemu_command, unpack_xen)
from shell import Shell, ShellError

BOOT_SECONDS = 600  # a limit for a loaded machine; 20 to 50 are usual

# What init and the builder say on the console. To wait for these costs the machine nothing, but every command that
# asks it takes its processor from what is waited for.
SHELL_STARTED = r"started /bin/busybox"
TOOLSTACK_BUILT = r"domain (\d+) \(toolstack\) of the boot manifest is built"
TOOLSTACK_READY = rb"toolstack-ready"  # on its own console


class Machine:
    """One boot of an appliance image with the debug tools. Use it in a with statement."""

    def __init__(self, initrd, log, memory_mib=MEMORY_MIB, dom0_arguments="", toolstack=True,
                 tpm=False, dom0_memory_mib=DOM0_MEMORY_MIB, counted=False, limit_seconds=MACHINE_SECONDS):
        self.tpm = SoftwareTpm(enrol=True) if tpm else None
        self.log = Path(log)
        self._directory = tempfile.TemporaryDirectory(prefix="ashlar-machine-")
        work = Path(self._directory.name)
        lines = {"dom0": work / "dom0.sock", "toolstack": work / "toolstack.sock"}
        command = qemu_command(unpack_xen(work), initrd, memory_mib,
                               f"ashlar.shell=ttyS1 {WITHOUT_TPM_DRIVER} {dom0_arguments}",
                               limit_seconds, dom0_memory_mib, counted)
        command += ["-serial", f"unix:{lines['dom0']},server=on,wait=off"]
        # The legacy port's interrupt 4 is Xen's for its own console: this one gets 5.
        command += ["-chardev", f"socket,id=line3,path={lines['toolstack']},server=on,wait=off",
                    "-device", "isa-serial,chardev=line3,index=2,iobase=0x3e8,irq=5"]
        self._command = command
        self._tells = "rdinit=" not in dom0_arguments  # another init has another log
        self._has_toolstack = toolstack
        self._lines = lines
        self._bridged = None
        self.dom0 = None
        self.toolstack = None
        self._process = None

    def __enter__(self):
        command = list(self._command)
        if self.tpm:
            command += self.tpm.__enter__().qemu_arguments()
        self._process = power_on(command, self.log)
        try:
            self._connect()
            if self._tells:
                self._await_log(SHELL_STARTED)
            self.dom0.wait_ready(BOOT_SECONDS, self.alive)
            if self._has_toolstack:
                self.attach_toolstack(starting=self._tells)
        except (ShellError, OSError) as error:
            self.stop()
            raise ShellError(f"{error}\n{self.log_tail()}") from error
        return self

    def __exit__(self, *unused):
        self.stop()

    def alive(self):
        """Does QEMU still run?"""
        return self._process.poll() is None

    def wait_off(self, timeout=60):
        """Waits until the machine has powered itself off."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ShellError(f"the machine still runs after {timeout} s\n{self.log_tail()}") from None

    def stop(self):
        """Ends QEMU and removes the sockets."""
        self._power_off()
        if self.tpm:
            self.tpm.stop()
        self._directory.cleanup()

    def power_cycle(self):
        """Power off and on again: nothing is as before but the images and what the TPM keeps."""
        self._power_off()
        if self.tpm:
            self.tpm.kill()
        for line in self._lines.values():
            line.unlink(missing_ok=True)
        self._bridged = None
        self.__enter__()

    def _power_off(self):
        for shell in (self.dom0, self.toolstack):
            if shell:
                shell.close()
        if self.alive():
            self._process.terminate()
            self._process.wait(20)
        self._process.stderr.close()

    def log_text(self):
        """What Xen and domain 0 wrote to the console so far."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text.replace("\r", "")

    def log_tail(self, lines=30):
        """The end of the console log, with its path, for error messages."""
        written = [line for line in self.log_text().splitlines() if line.strip()]
        tail = "\n".join(written[-lines:])
        return f"--- end of {self.log} ---\n{tail}"

    def attach_toolstack(self, timeout=BOOT_SECONDS, starting=False):
        """Connects the third line with the toolstack domain's console, and waits for its shell.

        To be called again after the toolstack domain was started anew. `starting`: the machine is booting, and tells on
        its consoles how far it is.
        """
        built = self._await_log(TOOLSTACK_BUILT) if starting else None
        domains = built[1] if built else "$(xenstore-list /local/domain)"
        tty = self.dom0.wait_for(
            f"for d in {domains}; do "
            "[ \"$(xenstore-read /local/domain/$d/name)\" = toolstack ] && "
            # Empty until xenconsoled has seen the domain.
            "xenstore-read /local/domain/$d/console/tty | grep . && exit 0; done; exit 1", timeout).strip()
        if self._bridged:
            self.dom0.run(f"kill {self._bridged}")
        self._bridged = self.dom0.check(
            f"stty -F /dev/ttyS2 raw -echo; stty -F {tty} raw -echo\n"
            f"cat {tty} >/dev/ttyS2 2>/dev/null & echo -n $!\n"
            f"cat /dev/ttyS2 >{tty} 2>/dev/null & echo \" $!\"").strip()
        if starting:
            self.toolstack.wait_text(TOOLSTACK_READY, timeout, self.alive)
        self.toolstack.wait_ready(timeout, self.alive)

    def _await_log(self, pattern, timeout=BOOT_SECONDS):
        """Waits until the console log has a line with this; gives the match, or nothing when the time is over."""
        end = time.monotonic() + timeout
        while not (found := re.search(pattern, self.log_text())):
            if not self.alive():
                raise ShellError("QEMU has ended: " + self._process.stderr.read().decode(errors="replace"))
            if time.monotonic() > end:
                return None
            time.sleep(0.1)
        return found

    def _connect(self):
        end = time.monotonic() + 20
        while not all(path.exists() for path in self._lines.values()):
            if not self.alive():
                raise ShellError("QEMU did not start: "
                                 + self._process.stderr.read().decode(errors="replace"))
            if time.monotonic() > end:
                raise ShellError("QEMU made no serial lines within 20 s")
            time.sleep(0.05)
        self.dom0 = Shell("domain 0", self._lines["dom0"])
        self.toolstack = Shell("toolstack domain", self._lines["toolstack"])
