// Reads files of cases that state what must come out:
//
//   file      := (comment | blank | case)*         comment := "#" text
//   case      := directive input* "----" expected   (until a blank line; after a double "----"
//   until another double one) directive := command (argument)*                a "\" at the end of a
//   line continues it argument  := key | key "=" value | key "=" "(" value ("," value)* ")"
//
// Value types.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quoin::raft::testing {

struct Argument {
  std::string key;
  std::vector<std::string> values;
};

struct Case {
  std::string command;
  std::vector<Argument> arguments;
  std::string input;     // lines between directive and "----"
  std::string expected;  // each line ended
  int line = 0;          // of the directive, from 1
  int expected_line = 0;
  int expected_lines = 0;  // in the file, to replace them
  bool double_rule = false;

  const Argument* Find(std::string_view key) const;
  // The single value of key=value.
  std::optional<std::string> Value(std::string_view key) const;
  // Arguments without a value.
  std::vector<std::string> Plain() const;
};

struct CaseFile {
  std::vector<std::string> lines;
  std::vector<Case> cases;
};

StatusOr<CaseFile> ParseCases(std::string_view text);
// The file with `outputs` (one per case) in place of what was expected.
std::string Rewrite(const CaseFile& file, const std::vector<std::string>& outputs);

}  // namespace quoin::raft::testing
