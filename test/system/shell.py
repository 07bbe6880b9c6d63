# SPDX-License-Identifier: LGPL-2.1-or-later
"""A root shell in a domain, driven over a serial line that QEMU shows as a Unix socket."""

import base64
import itertools
import re
import socket
import time


class ShellError(Exception):
    """The shell did not answer in time, or a command that had to work did not."""


class Shell:
    """Runs commands one by one. Each runs in a subshell of its own, with /dev/null as its input."""

    # The line discipline takes 4096 bytes a line; base64 is on one line with a short frame.
    LINE = 3000

    def __init__(self, name, path):
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._socket.settimeout(0.2)
        self._buffer = b""
        self._numbers = itertools.count(1)

    def close(self):
        """Lets go of the line."""
        self._socket.close()

    def wait_ready(self, timeout, alive=lambda: True):
        """Waits until a shell answers; makes it a quiet one: no echo, no prompt, no line editing."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and alive():
            try:
                # A shell whose output is a pipe is not interactive.
                self._send("stty -echo; sh 2>&1 | cat\n")
                self._send('echo "<<up"">>"\n')
            except ShellError:
                time.sleep(1)  # the line is full as long as a slow machine has nobody to read it
                continue
            if self._read_until(rb"<<up>>", 5) is not None and self._answers():
                return
        raise ShellError(f"{self.name}: no shell answered within {timeout} s")

    def wait_text(self, pattern, timeout, alive=lambda: True):
        """Waits, without a word, until the line shows this; what comes then is a matter of wait_ready()."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and alive():
            if self._read_until(pattern, 1) is not None:
                return

    def _answers(self):
        """Whether a command comes back: earlier tries may have queued more of the same, which are then
        left behind; and a shell that was only just starting may have lost what it had of a line."""
        try:
            self.run("true", timeout=10)
        except ShellError:
            return False
        return True

    def run(self, command, timeout=30):
        """Runs a command; gives its exit status and its output (both streams, as text)."""
        number = next(self._numbers)
        if all(len(line) < self.LINE for line in command.splitlines()):
            quoted = command.replace("'", "'\\''")
            # A new process less than with a program that decodes it, and one less than with another shell.
            self._send(f"echo \"<<be\"\"gin {number}>>\"; (eval '{quoted}') </dev/null; "
                       f"echo \"<<e\"\"nd {number} $?>>\"\n")
        else:
            self._send_encoded(number, command)
        return self._result(number, command, timeout)

    def _send_encoded(self, number, command):
        """Sends a command with lines that are too long for the line discipline."""
        text = base64.b64encode(command.encode()).decode()
        variable = ""
        for at in range(0, len(text), self.LINE):
            variable = f"c{number}"
            self._send(f'{variable}="${{{variable}}}{text[at:at + self.LINE]}"\n')
        self._send(f'echo "<<be""gin {number}>>"; '
                   f'sh -c "$(echo ${variable} | base64 -d)" </dev/null; '
                   f'echo "<<e""nd {number} $?>>"; unset {variable}\n')

    def _result(self, number, command, timeout):
        """The exit status and the output of a command that was sent."""
        found = self._read_until(
            rb"<<begin %d>>\r?\n(.*?)<<end %d (\d+)>>" % (number, number), timeout)
        if found is None:
            raise ShellError(f"{self.name}: {command!r} did not end within {timeout} s; it wrote "
                             f"{self._buffer[-2000:].decode(errors='replace')!r}")
        output = found.group(1).decode(errors="replace").replace("\r\n", "\n")
        return int(found.group(2)), output

    def check(self, command, timeout=30):
        """Runs a command that must succeed; gives its output."""
        status, output = self.run(command, timeout)
        if status != 0:
            raise ShellError(f"{self.name}: {command!r} ended with status {status}: {output}")
        return output

    def wait_for(self, command, timeout=30):
        """Repeats a command until it succeeds; gives its output.

        Between two tries passes as much time as one takes: what is waited for needs the machine's processor, too.
        """
        end = time.monotonic() + timeout
        while True:
            started = time.monotonic()
            status, output = self.run(command, timeout)
            took = time.monotonic() - started
            if status == 0:
                return output
            if time.monotonic() > end:
                raise ShellError(f"{self.name}: {command!r} did not succeed within {timeout} s: "
                                 f"{output}")
            time.sleep(max(0.2, took))

    def _send(self, text):
        try:
            self._socket.sendall(text.encode())
        except OSError as error:
            raise ShellError(f"{self.name}: the line is gone: {error}") from error

    def _read_until(self, pattern, timeout):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            found = re.search(pattern, self._buffer, re.DOTALL)
            if found:
                self._buffer = self._buffer[found.end():]
                return found
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            if not data:
                raise ShellError(f"{self.name}: the line was closed; has the machine stopped?")
            self._buffer += data
        return None
