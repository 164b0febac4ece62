// {fmt}, compiled once: Debian has no static library of it, and as headers only it doubles what compiling
// each of our files takes.
#include <fmt/format-inl.h>

namespace fmt::detail {

// What its headers leave to the library, for the one character type that we use.
template auto thousands_sep_impl<char>(locale_ref) -> thousands_sep_result<char>;
template auto decimal_point_impl(locale_ref) -> char;
template auto dragonbox::to_decimal(float) noexcept -> dragonbox::decimal_fp<float>;
template auto dragonbox::to_decimal(double) noexcept -> dragonbox::decimal_fp<double>;
#if FMT_VERSION < 110000  // later ones have these as plain functions, and inline
template void buffer<char>::append(const char*, const char*);
template void vformat_to(buffer<char>&, string_view, format_args, locale_ref);
#endif

}  // namespace fmt::detail
