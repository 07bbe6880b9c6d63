// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"

namespace ashlar {

/// A new anonymous memory file (memfd, close-on-exec) that may be sealed. `name` is shown in /proc
/// only.
[[nodiscard]] Result<UniqueFd> create_memory_file(const std::string& name);

/// Writes all of `bytes` at the file's current position. Errors: io (disk or memory full, limits).
[[nodiscard]] Status write_all(int fd, std::span<const std::byte> bytes, const std::string& what);

/// Seals against every further change (F_SEAL_WRITE|GROW|SHRINK|SEAL). Fails with io while a
/// writable mapping exists. After this, nobody who holds the descriptor can change the bytes, ever.
[[nodiscard]] Status seal(int fd, const std::string& what);

/// Checks that `fd` carries all four seals. Errors: integrity when one is missing.
[[nodiscard]] Status require_sealed(int fd, const std::string& what);

/// Size of an open file in bytes. Errors: io.
[[nodiscard]] Result<std::uint64_t> file_size(int fd, const std::string& what);

/// Reads a whole regular file of at most `limit` bytes. Errors: not_found, denied, io, limit.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::uint64_t limit);

} // namespace ashlar
