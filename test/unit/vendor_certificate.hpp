// SPDX-License-Identifier: LGPL-2.1-or-later
// A certificate whose key nobody has any more: for tests that need a name and no signature.
#pragma once

inline constexpr char vendor_certificate[] = R"(-----BEGIN CERTIFICATE-----
MIIBXTCCAQOgAwIBAgIBATAKBggqhkjOPQQDAjAdMRswGQYDVQQDDBJBc2hsYXIg
dGVzdCB2ZW5kb3IwIBcNMDAwMTAxMDAwMDAwWhgPOTk5OTEyMzEyMzU5NTlaMB0x
GzAZBgNVBAMMEkFzaGxhciB0ZXN0IHZlbmRvcjBZMBMGByqGSM49AgEGCCqGSM49
AwEHA0IABHt0Fu7lQtBSYRlT/C9/Ei6LLIgxQ3Xm5U/XNSTfzZekjwoZYjjVhYli
67pxTvEauCNCO1IGUpCLIf9JibzbYHyjMjAwMA8GA1UdEwEB/wQFMAMBAf8wHQYD
VR0OBBYEFPw4BP3OnamvoHmPxLHWVMAoJCa3MAoGCCqGSM49BAMCA0gAMEUCIAVv
9Y8z1SmuHi7Yu8yXRHuwT4n3okJsFu+DpSvteuw0AiEAmZTz5DG8XUv/NGd8agaL
w+3EM3SnupmYKjWln+eHi+I=
-----END CERTIFICATE-----
)";
