// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/kernel_parameters.hpp"

namespace ashlar::init {

namespace {

void apply(std::string_view word, KernelParameters& parameters) {
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos)
    return;
  const std::string_view name = word.substr(0, equals);
  const std::string_view value = word.substr(equals + 1);
  // Values become parts of paths: one that could leave its directory is not taken.
  if (value.find('/') != std::string_view::npos)
    return;
  if (name == "ashlar.relay")
    parameters.relay = value;
  else if (name == "ashlar.shell")
    parameters.shell = value;
  else if (name == "ashlar.builder")
    parameters.builder_by_hand = value == "manual";
}

} // namespace

KernelParameters parse_kernel_parameters(std::string_view command_line) {
  constexpr std::string_view blanks = " \t\n";
  KernelParameters parameters;
  std::size_t at = command_line.find_first_not_of(blanks);
  while (at != std::string_view::npos) {
    const std::size_t end = command_line.find_first_of(blanks, at);
    apply(command_line.substr(at, end - at), parameters);
    at = command_line.find_first_not_of(blanks, end);
  }
  return parameters;
}

} // namespace ashlar::init
