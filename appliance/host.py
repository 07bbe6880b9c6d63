# SPDX-License-Identifier: LGPL-2.1-or-later
"""A whole host: the images of the domains that its builder starts, and the policy that lets it start them."""

import hashlib
import string
from pathlib import Path

from appliance import images
from appliance.kernels import kernel
from appliance.settings import EMULATED

# Of the host's own domains, with placeholders for the digests of their images and for their command lines.
POLICY = Path(__file__).resolve().parent / "policy"
TOOLSTACK_POLICY = POLICY / "10-toolstack.toml"
TPM_POLICY = POLICY / "11-tpm.toml"


def digest(path, algorithm="sha256"):
    """The hexadecimal digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def fill(files, values):
    """Policy files, file name -> text, with the values in place of their placeholders."""
    return {file.name: string.Template(file.read_text()).substitute(values) for file in files}


def appliance(folder, build, toolstack_initrd, toolstack_kernel=None, tpm=True, command_lines=EMULATED):
    """The recipe of an appliance whose policy has the host's own domains, and no guest.

    Writes the initrds of the TPM Manager's and the vTPMs' domains into `folder`, if the host has a TPM.
    `toolstack_kernel`: none for the one that they have.
    """
    service_kernel = kernel("6.1-cloud").image
    toolstack_kernel = toolstack_kernel or service_kernel
    recipe = images.Appliance(build=build, toolstack_kernel=toolstack_kernel, toolstack_initrd=toolstack_initrd,
                              command_lines=command_lines)
    recipe.policies = fill([TOOLSTACK_POLICY], {
        "toolstack_kernel": digest(toolstack_kernel), "toolstack_initrd": digest(toolstack_initrd),
        "toolstack_command_line": command_lines.toolstack})
    if tpm:
        recipe.service_kernel = service_kernel
        recipe.vtpm_initrd = images.write_vtpm(folder / "vtpm-initrd", build)
        approved = (digest(service_kernel), digest(recipe.vtpm_initrd))
        recipe.tpm_manager_initrd = images.write_tpm_manager(folder / "tpm-manager-initrd", build, [approved])
        recipe.policies |= fill([TPM_POLICY], {
            "service_kernel": approved[0], "vtpm_initrd": approved[1],
            "tpm_manager_initrd": digest(recipe.tpm_manager_initrd),
            "vtpm_command_line": command_lines.vtpm, "tpm_manager_command_line": command_lines.tpm_manager})
    return recipe
