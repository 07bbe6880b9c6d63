// SPDX-License-Identifier: LGPL-2.1-or-later
// Debian has fmt as a shared library or as headers only. This is the library's own code, from its
// headers, for programs that are linked without it.
#include <fmt/format-inl.h>

// What the headers declare to be found in the library. The linker says if a newer fmt asks for
// more.
FMT_BEGIN_NAMESPACE
namespace detail {
template auto thousands_sep_impl<char>(locale_ref) -> thousands_sep_result<char>;
template auto decimal_point_impl<char>(locale_ref) -> char;
template auto dragonbox::to_decimal<float>(float) noexcept -> dragonbox::decimal_fp<float>;
template auto dragonbox::to_decimal<double>(double) noexcept -> dragonbox::decimal_fp<double>;
#if FMT_VERSION >= 100000
template void vformat_to(buffer<char>&, string_view, vformat_args<>::type, locale_ref);
#endif
} // namespace detail
FMT_END_NAMESPACE
