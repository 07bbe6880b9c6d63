// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/statements.hpp"

namespace ashlar::cli {

namespace {

bool name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

class Scanner {
public:
  std::vector<Statement> scan(std::string_view text) {
    for (const char c : text) {
      take(c);
      if (c == '\n')
        ++line_;
    }
    finish();
    return std::move(found_);
  }

private:
  void take(char c) {
    if (comment_)
      comment_ = c != '\n';
    else if (quote_ != '\0')
      quote_ = c == quote_ ? '\0' : quote_;
    else if (c == '\'' || c == '"')
      quote_ = c;
    else if (c == '#')
      comment_ = true;
    else if (c == '[' || c == ']')
      depth_ += c == '[' ? 1 : -1;
    if (comment_ || quote_ != '\0' || depth_ > 0)
      return;
    if (c == '\n' || c == ';')
      finish();
    else if (c == '=')
      in_value_ = true;
    else if (!in_value_ && name_character(c))
      extend_name(c);
  }

  // A value may span lines; the setting is where its name begins.
  void extend_name(char c) {
    if (name_.empty())
      name_line_ = line_;
    name_.push_back(c);
  }

  void finish() {
    if (!name_.empty() && in_value_)
      found_.push_back({name_, name_line_});
    name_.clear();
    in_value_ = false;
  }

  std::vector<Statement> found_;
  std::string name_;
  std::size_t line_ = 1;
  std::size_t name_line_ = 1;
  int depth_ = 0;
  char quote_ = '\0';
  bool comment_ = false;
  bool in_value_ = false;
};

} // namespace

std::vector<Statement> statements_of(std::string_view text) {
  return Scanner().scan(text);
}

} // namespace ashlar::cli
