# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makers of the images that Ashlar runs in: the appliance (domain 0), a toolstack domain, guests."""
